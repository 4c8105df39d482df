"""Training: from a resolved setup to a generator on disk. Knows nothing of scores, tables or the command line."""
