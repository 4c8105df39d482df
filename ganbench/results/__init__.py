"""Results: records, the folder that holds them, statistics and tables. Nothing here imports torch or a plugin."""
