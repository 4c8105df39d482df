"""The command line: one module a verb; the only code that prints or exits."""
