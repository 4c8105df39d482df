"""The zoo: everything bundled with ganbench, written against the same public API as any third party's plugin."""
