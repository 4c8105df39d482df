"""Suites: from a TOML file or a command line, and a catalog, to resolved runs."""
