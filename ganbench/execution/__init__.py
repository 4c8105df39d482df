"""Execution: where runs run, and what one run does from training to records."""
