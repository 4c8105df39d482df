"""Files of released weights: where they are looked for, what is trusted of them, and what is said of the others."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from ganbench import ExtractorUnavailable
from ganbench_zoo import fetch, weights
from ganbench_zoo.extractors.clip import ClipRn50
from ganbench_zoo.extractors.dinov2 import Dinov2VitS14
from ganbench_zoo.extractors.inception_v3 import InceptionV3
from ganbench_zoo.extractors.vgg16 import Vgg16
from ganbench_zoo.weights import Release, locate, obtain

CPU = torch.device("cpu")
RELEASES = sorted(fetch.releases().values(), key=lambda release: release.extractor)
EACH = [InceptionV3, Vgg16, ClipRn50, Dinov2VitS14]


@pytest.fixture
def small():
    """Return the release of a made-up network of one tensor."""
    return Release("small", "GANBENCH_SMALL", "https://example.org/small-1234.pth", 5, "0" * 64, ("small-1234.pth",))


def test_what_is_released_is_what_torch_fidelity_downloads():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing its vision stack may warn of what its dependencies deprecate
        from torch_fidelity.feature_extractor_clip import MODEL_METADATA, MODEL_URLS
        from torch_fidelity.feature_extractor_dinov2 import MODEL_METADATA as TRANSFORMERS
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
        from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
        from torchvision.models import VGG16_Weights
    known = {release.extractor: release for release in RELEASES}
    assert {name.replace("_", "-") for name in known} - {"inception-v3"} == set(FEATURE_EXTRACTORS_REGISTRY) - {
        "inception-v3-compat"
    }
    assert known["inception_v3"].url == URL_INCEPTION_V3
    assert known["vgg16"].url == VGG16_Weights.IMAGENET1K_V1.url
    for name, url in MODEL_URLS.items():
        release = known[name.replace("-", "_")]
        assert (release.url, release.sha256, release.script) == (url, MODEL_METADATA[name]["hash"], True)
        assert release.files == (f"{name}-{release.sha256}.pt",)  # torch-fidelity's own cache is found
    for name, file in TRANSFORMERS.items():
        assert known[name.replace("-", "_")].files == (f"{file}_pretrain.pth",)


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.extractor)
def test_each_release_is_whole(release):
    assert len(release.sha256) == 64
    assert int(release.sha256, 16)
    assert release.size > 50_000_000
    assert release.variable.startswith("GANBENCH_")
    stem = release.files[0].rpartition(".")[0]
    prefix = stem.rpartition("-")[2]
    assert release.sha256.startswith(prefix) or release.extractor.startswith("dinov2")


def test_a_parameter_comes_before_the_variable_and_that_before_the_cache(small, no_downloads, monkeypatch):
    assert locate(small, None).path == no_downloads / "small-1234.pth"
    assert not locate(small, None).chosen
    monkeypatch.setenv("GANBENCH_SMALL", "elsewhere.pth")
    assert locate(small, None) == weights.Location(Path("elsewhere.pth"), "the variable GANBENCH_SMALL", chosen=True)
    assert locate(small, "~/mine.pth").path == Path("~/mine.pth").expanduser()
    monkeypatch.setenv("GANBENCH_SMALL", "")
    assert not locate(small, None).chosen


def test_an_older_name_in_the_cache_counts_where_the_first_is_missing(small, no_downloads):
    small = dataclasses.replace(small, files=("new.pth", "old.pth"))
    (no_downloads / "old.pth").write_bytes(b"x")
    assert locate(small, None).path.name == "old.pth"
    (no_downloads / "new.pth").write_bytes(b"x")
    assert locate(small, None).path.name == "new.pth"


@pytest.mark.parametrize("component", EACH, ids=lambda component: component.name)
def test_offline_each_says_what_to_do_and_loads_nothing(component, no_downloads):
    release = component.release
    reason = component().available()
    assert f"{component.name} has no weights here: {no_downloads / release.files[0]}" in reason
    assert f"python -m ganbench_zoo.fetch {component.name}" in reason
    assert f"{release.size:,} bytes" in reason
    assert release.variable in reason
    with pytest.raises(ExtractorUnavailable, match="downloading failed: no network"):
        component().load(CPU)
    with pytest.raises(
        ExtractorUnavailable, match=r"nowhere.pth \(the parameter weights\) does not exist; name a copy"
    ):
        component(weights="nowhere.pth").load(CPU)
    assert "nowhere.pth" in component(weights="nowhere.pth").available()


@pytest.mark.parametrize("component", EACH, ids=lambda component: component.name)
def test_a_truncated_or_foreign_file_in_the_cache_is_refused(component, no_downloads):
    (no_downloads / component.release.files[0]).write_bytes(b"truncated")
    assert component().available() is None  # existence alone is looked at
    with pytest.raises(ExtractorUnavailable, match=r"the released weights .*; delete the file") as caught:
        component().load(CPU)
    assert component.release.sha256 in str(caught.value)


def test_a_download_is_compared_with_the_known_hash_and_kept(no_downloads, monkeypatch, capsys):
    asked = {}

    def give(url, path, hash_prefix, progress):
        asked.update(url=url, hash_prefix=hash_prefix)
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr("torch.hub.download_url_to_file", give)
    fetch.main(["dinov2_vit_s_14"])
    path = no_downloads / "dinov2_vits14_pretrain.pth"
    assert path.read_bytes() == b"weights"
    assert asked == {"url": Dinov2VitS14.release.url, "hash_prefix": Dinov2VitS14.release.sha256}
    assert capsys.readouterr().out == f"{path} (SHA-256 {hashlib.sha256(b'weights').hexdigest()})\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name an extractor; known: clip_rn101,"),
        (["vgg61"], "no weights can be downloaded for 'vgg61'; did you mean 'vgg16'?"),
        (["vgg16"], "vgg16 has no weights here"),
    ],
)
def test_what_the_command_says_of_what_it_cannot_fetch(arguments, sentence, no_downloads):
    with pytest.raises(SystemExit, match=sentence.replace("?", r"\?")):
        fetch.main(arguments)


class Bomb:
    """A pickle that would run code."""

    def __reduce__(self):
        return pytest.fail, ("the pickle ran",)


@pytest.mark.parametrize("component", EACH, ids=lambda component: component.name)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "no file of torch weights"),
        (b"", "no file of torch weights"),
        (pickle.dumps(Bomb()), "no file of torch weights"),
        (Bomb(), "no file of torch weights"),
        (Path("x"), "no file of torch weights"),
        (torch.zeros(3), "no file of torch weights"),
        ({"epoch": 3}, "no file of torch weights"),
        ({}, "does not hold this network's weights"),
        ({"fc.weight": torch.zeros(3)}, "does not hold this network's weights"),
        ({"visual.proj": torch.zeros(3)}, "does not hold this network's weights"),
        ({"visual.layer1.0.conv1.weight": torch.zeros(3)}, "does not hold this network's weights"),
    ],
)
def test_files_that_hold_something_else_are_refused_in_a_sentence(component, content, message, tmp_path):
    path = tmp_path / "w.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message) as caught:
        component(weights=str(path)).load(CPU)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_file_that_cannot_be_read_is_named(small, tmp_path):
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(ExtractorUnavailable, match=r"folder.pth \(the parameter weights\) does not exist"):
        obtain(small, locate(small, str(tmp_path / "folder.pth")))


def test_a_truncated_archive_is_refused(small, tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"x": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"small: .*w.pth is no file of torch weights"):
        obtain(small, locate(small, str(path)))


class Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.arange(3.0))

    def forward(self) -> torch.Tensor:
        return self.x


@pytest.fixture
def archive(tmp_path):
    """Write a TorchScript archive, which is a program, and return its path."""
    path = tmp_path / "scripted.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is being retired, and CLIP was released as one
        torch.jit.script(Scripted()).save(str(path))
    return path


def test_a_torchscript_archive_is_opened_only_where_it_is_the_known_one(small, archive, no_downloads):
    scripted = dataclasses.replace(small, script=True)
    with pytest.raises(ValueError, match="is no file of torch weights"):
        obtain(scripted, locate(scripted, str(archive)))
    known = dataclasses.replace(scripted, sha256=weights.file_sha256(archive))
    for path in (str(archive), None):
        (no_downloads / "small-1234.pth").write_bytes(archive.read_bytes())
        contents = obtain(known, locate(known, path))
        assert contents.released
        assert torch.equal(contents.state["x"], torch.arange(3.0))
