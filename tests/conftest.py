"""Fixtures for the whole suite: toy components from a real plugin file, one thread, no stray results folder."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import settings

PLUGINS = Path(__file__).parent / "plugins"

os.environ["GANBENCH_EXTRACTORS"] = str(PLUGINS / "absent")  # what was trained on this machine is not to be tested
settings.register_profile("shared", deadline=None)  # a busy machine must not fail a test
settings.load_profile("shared")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toys() -> ModuleType:
    """Return the toy plugin as a module."""
    name = "ganbench_test_toys"
    spec = importlib.util.spec_from_file_location(name, PLUGINS / "toys.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
