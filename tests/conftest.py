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


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory) -> str:
    """Write a state dict of FID's Inception, random but with activations that keep their scale, and return its path."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        module = FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path=folder / "empty.pth")
        for layer in module.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            elif isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.3)
                layer.running_var.uniform_(0.5, 2)
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.normal_(0, 0.2)
    torch.save(module.state_dict(), folder / "random.pth")
    return str(folder / "random.pth")


@pytest.fixture
def no_downloads(tmp_path, monkeypatch) -> Path:
    """Let torch's hub cache be empty and every download fail as without a network; return the cache's folder."""
    from ganbench_zoo.fetch import releases

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    for release in releases().values():
        monkeypatch.delenv(release.variable, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder
