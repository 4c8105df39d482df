"""``python -m ganbench``: the command line."""

from ganbench.cli.main import main

if __name__ == "__main__":
    main(prog_name="ganbench")
