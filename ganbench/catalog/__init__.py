"""The catalog: finds, imports, calls and checks plugins, each on its own, and keeps what failed as faults.

Plugins come from installed packages (entry points of the group ``ganbench``), from ``--plugins PATH`` and from the
variable ``GANBENCH_PLUGINS``, never from the working directory unasked.
"""

from ganbench.catalog.entries import Catalog, Entry, Fault, SuiteEntry
from ganbench.catalog.loading import load_catalog

__all__ = ["Catalog", "Entry", "Fault", "SuiteEntry", "load_catalog"]
