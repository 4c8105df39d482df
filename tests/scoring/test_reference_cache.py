"""The reference cache: exact round trips, a miss for any change, no tampered file, many processes at once."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ganbench import FeatureStore, GanbenchError, Images, ImageSpec
from ganbench.scoring.evaluate import Evaluator, ScoringSettings, Subject
from ganbench.scoring.reference import FORMAT, ReferenceCache, content_hash, read_header
from ganbench.scoring.sample import TensorSource
from ganbench.scoring.upkeep import clear, entries, fault

KEY = {"content": "abc", "extractor": {"name": "projection", "weights_sha256": "1"}, "rows": [0, 30], "cap": 50}


@pytest.fixture
def features(store) -> FeatureStore:
    rng = torch.Generator().manual_seed(3)
    return store(torch.randn(30, 4, generator=rng), torch.randn(30, 5, generator=rng))


def refuse() -> FeatureStore:
    raise AssertionError("computed although it is cached")


def rewrite(path: Path, **metadata: str) -> dict[str, torch.Tensor]:
    """Return the file's tensors, and write them back under changed metadata."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        save_file(tensors, path, {**file.metadata(), **metadata})
    return tensors


def test_round_trip_is_exact(tmp_path, features):
    cache = ReferenceCache(tmp_path)
    assert cache.load(KEY) is None
    cache.get(KEY, lambda: features)
    again = cache.get(KEY, refuse)
    for name in ("mean", "covariance", "features", "logits"):
        assert torch.equal(getattr(again, name), getattr(features, name))
    assert (again.count, again.nonfinite) == (30, 0)


def test_absent_parts_stay_absent(tmp_path, features):
    bare = replace(features, features=None, logits=None, count=33, nonfinite=3)
    ReferenceCache(tmp_path).save(KEY, bare)
    again = ReferenceCache(tmp_path).load(KEY)
    assert (again.features, again.logits, again.count, again.nonfinite) == (None, None, 33, 3)


@pytest.mark.parametrize(
    "change",
    [{"content": "abd"}, {"extractor": {"name": "projection", "weights_sha256": "2"}}, {"rows": [0, 29]}, {"cap": 51}],
)
def test_any_changed_input_misses(tmp_path, features, change):
    cache = ReferenceCache(tmp_path)
    cache.save(KEY, features)
    assert cache.load({**KEY, **change}) is None
    assert cache.load(dict(reversed(KEY.items()))) is not None


@dataclass(frozen=True)
class Largest:
    """A metric that needs the classes of the samples."""

    name: ClassVar[str] = "largest"
    paper: ClassVar[str] = "tests"
    direction: ClassVar[str] = "lower"
    scale: ClassVar[str] = "linear"
    needs: ClassVar[frozenset] = frozenset({"features", "labels"})
    version: ClassVar[int] = 1

    def compute(self, generated, real, context):
        return float(real.features[real.labels == 1].mean())


def test_changed_labels_miss_where_a_metric_needs_them(tmp_path, projections):
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (60, 1, 4, 4), generator=rng, dtype=torch.uint8)
    labels = torch.arange(60) % 2

    def value(labels: torch.Tensor) -> float:
        images = Images(pixels, labels)
        subject = Subject("toy", "toy", ImageSpec((1, 4, 4), 2), None, images, {"content": "the same"})
        settings = ScoringSettings((("largest", Largest()),), projections.Projection(), 30)
        evaluator = Evaluator(settings, subject, torch.device("cpu"), ReferenceCache(tmp_path))
        (score,) = evaluator.score(TensorSource(pixels, {}))
        return score.value

    first, second = value(labels), value(1 - labels)
    assert first != second
    assert value(labels) == first
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_a_file_under_another_name_is_refused(tmp_path, features):
    cache = ReferenceCache(tmp_path)
    cache.save(KEY, features)
    other = {**KEY, "cap": 1}
    cache.path(KEY).rename(cache.path(other))
    with pytest.raises(GanbenchError, match="something else than its name says; delete the file"):
        cache.get(other, refuse)


@pytest.mark.parametrize("name", ["mean", "covariance", "features", "logits"])
def test_a_changed_value_is_refused(tmp_path, features, name):
    cache = ReferenceCache(tmp_path)
    cache.save(KEY, features)
    with safe_open(cache.path(KEY), framework="pt") as file:
        metadata = file.metadata()
    tensors = rewrite(cache.path(KEY))
    tensors[name].view(-1)[0] += 1
    save_file(tensors, cache.path(KEY), metadata)
    with pytest.raises(GanbenchError, match="checksum"):
        cache.load(KEY)


@pytest.mark.parametrize("keep", [0, 20, 400])
def test_a_truncated_file_is_refused(tmp_path, features, keep):
    cache = ReferenceCache(tmp_path)
    cache.save(KEY, features)
    cache.path(KEY).write_bytes(cache.path(KEY).read_bytes()[:keep])
    with pytest.raises(GanbenchError, match="cannot be read"):
        cache.load(KEY)


def test_an_older_format_is_computed_anew(tmp_path, features):
    cache = ReferenceCache(tmp_path)
    cache.save(KEY, replace(features, count=31))
    rewrite(cache.path(KEY), format="1")
    assert cache.load(KEY) is None
    assert cache.get(KEY, lambda: features) is features
    assert cache.get(KEY, refuse).count == 30


def test_a_later_format_is_refused(tmp_path, features):
    cache = ReferenceCache(tmp_path)
    cache.save(KEY, features)
    rewrite(cache.path(KEY), format=str(FORMAT + 1))
    with pytest.raises(GanbenchError, match=f"it is of format {FORMAT + 1}, and this version of ganbench reads"):
        cache.get(KEY, refuse)


@pytest.mark.parametrize(
    "change", [{"format": "two"}, {"key": "{"}, {"key": "3"}, {"count": "many"}, {"nonfinite": ""}]
)
def test_a_header_that_is_not_ours_is_refused(tmp_path, features, change):
    cache = ReferenceCache(tmp_path)
    cache.save(KEY, features)
    rewrite(cache.path(KEY), **change)
    with pytest.raises(GanbenchError, match="ganbench did not write it; delete the file"):
        cache.get(KEY, refuse)


def test_a_file_of_somebody_else_is_refused(tmp_path):
    cache = ReferenceCache(tmp_path)
    cache.folder.mkdir()
    save_file({"mean": torch.zeros(3)}, cache.path(KEY))
    with pytest.raises(GanbenchError, match="ganbench did not write it"):
        cache.get(KEY, refuse)


@pytest.mark.parametrize("change", [{"count": "31"}, {"nonfinite": "1"}])
def test_a_changed_count_is_refused(tmp_path, features, change):
    cache = ReferenceCache(tmp_path)
    cache.save(KEY, features)
    rewrite(cache.path(KEY), **change)
    with pytest.raises(GanbenchError, match="checksum"):
        cache.load(KEY)


def test_a_label_names_a_file_and_changes_nothing(tmp_path, features):
    cache = ReferenceCache(tmp_path)
    cache.get(KEY, lambda: features, "digits test")
    assert read_header(cache.path(KEY)).label == "digits test"
    assert cache.get(KEY, refuse, "another").count == 30
    assert [path.suffix for path in sorted(cache.folder.iterdir())] == [".lock", ".safetensors"]


def test_everything_that_is_kept_row_by_row_comes_back(tmp_path, features):
    rng = torch.Generator().manual_seed(4)
    rows = {
        "labels": torch.arange(30) % 7,
        "modes": torch.randint(-1, 8, (30,), generator=rng),
        "deviations": torch.rand(30, generator=rng, dtype=torch.float64) * 5,
    }
    cache = ReferenceCache(tmp_path)
    cache.save(KEY, replace(features, **rows))
    again = cache.load(KEY)
    for name, value in rows.items():
        assert torch.equal(getattr(again, name), value)
        assert getattr(again, name).dtype == value.dtype


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"covariance": -torch.eye(4, dtype=torch.float64)}, "positive semi-definite"),
        ({"covariance": torch.eye(4, dtype=torch.float64) + torch.ones(4, 4).triu(1) / 4}, "not symmetric"),
        ({"covariance": torch.full((4, 4), torch.nan, dtype=torch.float64)}, "moments are not finite"),
        ({"covariance": torch.eye(3, dtype=torch.float64)}, "shapes"),
        ({"covariance": None}, "half of the moments"),
        ({"features": torch.full((30, 4), torch.inf)}, "features are not finite"),
        ({"deviations": torch.full((30,), torch.nan, dtype=torch.float64)}, "deviations are not finite"),
        ({"labels": torch.zeros(29).long()}, "29 and 30 rows of 30"),
        ({"labels": torch.zeros(30)}, "labels are torch.float32"),
        ({"modes": torch.zeros(30, 1).long()}, r"modes are torch.int64 of shape \(30, 1\)"),
        ({"features": torch.zeros(31, 4), "logits": None}, "31 rows of 30"),
        ({"mean": torch.zeros(4)}, "moments are torch.float32"),
        ({"nonfinite": 31}, "31 of its 30 rows are not finite"),
    ],
)
def test_values_that_no_pass_could_leave_are_refused(tmp_path, features, part, reason):
    cache = ReferenceCache(tmp_path)
    cache.save(KEY, replace(features, **part))
    with pytest.raises(GanbenchError, match=reason):
        cache.load(KEY)


def test_singular_and_undefined_covariances_are_kept(tmp_path, store):
    cache = ReferenceCache(tmp_path)
    rows = torch.randn(5, 40, generator=torch.Generator().manual_seed(1))
    for i, part in enumerate((rows, rows[:1], rows[:1].expand(9, 40))):
        cache.save({"case": i}, store(part))
        torch.testing.assert_close(cache.load({"case": i}).covariance, store(part).covariance, equal_nan=True)


def test_content_hash_sees_values_shape_and_dtype():
    base = torch.arange(12, dtype=torch.uint8).view(3, 4)
    changed = base.clone()
    changed[2, 3] = 0
    hashes = {content_hash(x) for x in (base, changed, base.view(4, 3), base.float(), base.T)}
    assert len(hashes) == 5
    assert content_hash(base.T.contiguous().T) == content_hash(base)


def test_of_many_that_want_it_one_computes(tmp_path, features):
    computed = []

    def compute() -> FeatureStore:
        time.sleep(0.05)
        computed.append(1)
        return features

    with ThreadPoolExecutor(6) as pool:  # each opens the lock file for itself, as a process would
        stores = list(pool.map(lambda _: ReferenceCache(tmp_path).get(KEY, compute), range(6)))
    assert computed == [1]
    assert all(torch.equal(store.features, features.features) for store in stores)
    assert not list(tmp_path.rglob("*.tmp"))


WRITER = """
import sys, time, torch
from pathlib import Path
from ganbench import FeatureStore
from ganbench.scoring.reference import ReferenceCache

folder, log = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
cache = ReferenceCache(folder)
def compute(i):
    with log.open("a") as file:
        file.write(f"{i}\\n")
    time.sleep(0.02)
    rows = torch.full((200, 3), float(i))
    return FeatureStore(200, 0, rows.mean(0).double(), torch.zeros(3, 3).double(), rows)
for i in range(12):
    store = cache.get({"i": i}, lambda: compute(i))
    assert store.features.shape == (200, 3) and (store.features == i).all(), (i, store)
"""


@pytest.mark.parametrize("clearing", [False, True])
def test_processes_share_a_folder_even_while_it_is_cleared(tmp_path, clearing):
    log = tmp_path / "log"
    arguments = [sys.executable, "-c", WRITER, str(tmp_path), str(log)]
    writers = [subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    while clearing and any(writer.poll() is None for writer in writers):
        clear(ReferenceCache(tmp_path))
    errors = [writer.communicate()[1] for writer in writers]
    assert errors == [""] * 2
    computed = log.read_text().split()
    assert set(computed) == {str(i) for i in range(12)}
    assert not list(tmp_path.rglob("*.tmp"))
    if not clearing:
        assert len(computed) == 12  # each by one of them
        assert all(fault(entry) is None for entry in entries(ReferenceCache(tmp_path)))


def test_a_full_disk_costs_time_only(tmp_path, features, monkeypatch):
    def full(*_):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("ganbench.scoring.reference.save_file", full)
    assert ReferenceCache(tmp_path).get(KEY, lambda: features) is features
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_folder_that_cannot_be_made_costs_time_only(tmp_path, features):
    (tmp_path / "file").write_text("in the way")
    cache = ReferenceCache(tmp_path / "file")
    assert cache.get(KEY, lambda: features) is features
    assert cache.get(KEY, lambda: features) is features
