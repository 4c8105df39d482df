"""Fixtures for the zoo: no network, no downloads, and a combination of which a test changes what it is about."""

from __future__ import annotations

import pytest

from ganbench import Cell, ImageSpec, Latent
from ganbench_zoo import download


@pytest.fixture
def offline(monkeypatch):
    """Make every download fail as it does without a network."""

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.fixture
def no_download(monkeypatch):
    """Fail a test that tries to download although the files are there."""

    def refuse():
        pytest.fail("a download was tried")

    monkeypatch.setattr(download, "bounded", refuse)


@pytest.fixture
def plain_cell(toys) -> Cell:
    """Return a combination of toys without additions or offers, for `dataclasses.replace`."""
    return Cell(
        data=ImageSpec((1, 4, 4)),
        generator=toys.Tiny(),
        discriminator=toys.Tiny(),
        latent=Latent(4),
        batch_coupling="none",
        companions=(),
        loss=toys.Logistic(),
        regularizers=(),
        constraints=(),
        augmentations=(),
        pac=1,
        schedule=("D", "G"),
        batch_size=4,
    )
