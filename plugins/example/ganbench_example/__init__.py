"""An example of a ganbench plugin: each module in this package offers one component."""
