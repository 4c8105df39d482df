"""Wants a package that is not there."""

import ganbench_package_that_nobody_wrote

from ganbench import hookimpl


class Unimported:
    name = "unimported"
    base = ganbench_package_that_nobody_wrote


@hookimpl
def losses():
    return [Unimported]
