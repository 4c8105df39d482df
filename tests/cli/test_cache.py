"""`ganbench cache`: what is listed, verified and deleted, and what is left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ganbench import FeatureStore
from ganbench.cli.main import main
from ganbench.scoring.reference import ReferenceCache

KEY = {"content": "0123456789abcdef" * 4, "extractor": {"name": "digits_cnn"}, "rows": [0, 40], "kept": ["moments"]}
HOLDER = """
import sys, time
from filelock import FileLock

lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(600)
"""


def store(n: int = 40, width: int = 3) -> FeatureStore:
    rows = torch.randn(n, width, generator=torch.Generator().manual_seed(n))
    return FeatureStore(n, 0, rows.double().mean(0), torch.cov(rows.double().T), rows)


@pytest.fixture
def cache(ganbench, tmp_path) -> ReferenceCache:
    """Return the cache that the command line uses, with three stores: labelled, unlabelled, without moments."""
    found = ReferenceCache()
    assert found.folder == tmp_path / "cache" / "reference"
    found.save(KEY, store(), "digits test")
    found.save({**KEY, "rows": [0, 1500]}, store(1500))
    found.save(
        {**KEY, "extractor": {"name": "mnist_cnn"}}, FeatureStore(40, 0, features=store().features), "mnist train"
    )
    return found


def damage(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        metadata = file.metadata()
    next(iter(tensors.values())).view(-1)[0] += 1
    save_file(tensors, path, metadata)


def old(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        save_file({"mean": file.get_tensor("mean")}, path, {**file.metadata(), "format": "1"})


def test_an_empty_cache(ganbench, tmp_path):
    result = ganbench("cache", "list")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"0 files, 0 bytes, in {tmp_path / 'cache' / 'reference'}\n"
    assert json.loads(ganbench("cache", "list", "--json").stdout)["files"] == []
    assert ganbench("cache", "verify").exit_code == 0
    cleared = ganbench("cache", "clear")
    assert (cleared.exit_code, cleared.stdout) == (0, "deleted 0 files; 0 bytes freed\n")


def test_list_says_of_what_how_many_and_where(ganbench, cache):
    lines = ganbench("cache", "list").stdout.splitlines()
    assert lines[0].split() == ["data", "extractor", "samples", "kept", "size", "age", "file"]
    text = "\n".join(lines)
    assert "digits test           digits_cnn  40       moments, features" in text
    assert "content 0123456789ab  digits_cnn  1,500    moments, features" in text
    assert "mnist train           mnist_cnn   40       features" in text
    assert cache.path(KEY).name[:12] in text
    total = sum(path.stat().st_size for path in cache.folder.glob("*.safetensors"))
    assert lines[-1] == f"3 files, {total / 1000:.1f} kB, in {cache.folder}"


def test_list_as_json_holds_the_key_and_the_whole_path(ganbench, cache):
    (cache.folder / "notes.txt").write_text("mine")
    shown = json.loads(ganbench("cache", "list", "--json").stdout)
    one = next(file for file in shown["files"] if file["data"] == "digits test")
    assert one["path"] == str(cache.path(KEY))
    assert one["key"] == KEY
    assert (one["n"], one["kept"], one["state"]) == (40, ["moments", "features"], "sound")
    assert 0 <= one["age_seconds"] < 600
    assert shown["bytes"] == sum(file["bytes"] for file in shown["files"])
    assert shown["foreign"] == [str(cache.folder / "notes.txt")]


def test_verify_reads_every_file(ganbench, cache):
    good = ganbench("cache", "verify")
    assert (good.exit_code, good.stderr) == (0, "3 files: 3 sound, 0 of an old format, 0 refused\n")
    assert sorted(line.split()[0] for line in good.stdout.splitlines()) == ["sound"] * 3
    damage(cache.path(KEY))
    other = cache.path({**KEY, "rows": [0, 1500]})
    other.write_bytes(other.read_bytes()[:300])
    bad = ganbench("cache", "verify")
    assert (bad.exit_code, bad.stderr) == (1, "3 files: 1 sound, 0 of an old format, 2 refused\n")
    assert (
        f"refused  cached reference features {cache.path(KEY)} are refused: its checksum does not match" in bad.stdout
    )
    assert f"{other} are refused: it cannot be read" in bad.stdout
    shown = json.loads(ganbench("cache", "verify", "--json").stdout)
    assert shown["refused"] == 2
    assert sorted(file["state"] for file in shown["files"]) == ["refused", "refused", "sound"]
    assert "unreadable" in ganbench("cache", "list").stdout


def test_a_file_under_another_name_is_refused_by_verify(ganbench, cache):
    cache.path(KEY).rename(cache.path({**KEY, "cap": 3}))
    result = ganbench("cache", "verify")
    assert result.exit_code == 1
    assert "it was written for something else than its name says" in result.stdout


def test_a_file_of_an_older_format_is_named_and_not_refused(ganbench, cache):
    old(cache.path(KEY))
    result = ganbench("cache", "verify")
    assert (result.exit_code, result.stderr) == (0, "3 files: 2 sound, 1 of an old format, 0 refused\n")
    assert f"old      {cache.path(KEY)}" in result.stdout
    assert "... (old)" in ganbench("cache", "list").stdout


def test_a_run_that_meets_a_tampered_file_says_so_and_stops(run_toy, ganbench, tmp_path):
    first = run_toy()
    assert first.exit_code == 0
    for path in (tmp_path / "cache" / "reference").glob("*.safetensors"):
        damage(path)
    assert ganbench("cache", "verify").exit_code == 1
    result = run_toy("--set", "name=again")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "are refused: its checksum does not match its values; delete the file to compute it anew" in result.stderr
    assert ganbench("cache", "clear", "--yes").exit_code == 0
    assert run_toy("--set", "name=again").exit_code == 0


def test_clear_asks_where_somebody_can_answer(ganbench, cache, monkeypatch):
    refused = ganbench("cache", "clear")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "nobody can be asked here; say so with --yes" in refused.stderr
    from click.testing import CliRunner

    monkeypatch.setattr("ganbench.cli.cache._can_ask", lambda: True)
    no = CliRunner().invoke(main, ["cache", "clear"], input="n\n")
    assert no.exit_code == 1
    assert f"in {cache.folder}?" in no.stderr
    assert len(list(cache.folder.glob("*.safetensors"))) == 3
    yes = CliRunner().invoke(main, ["cache", "clear"], input="y\n")
    assert yes.exit_code == 0
    assert not list(cache.folder.iterdir())


def test_clear_says_what_was_freed_and_takes_left_overs_along(ganbench, cache):
    total = sum(path.stat().st_size for path in cache.folder.iterdir())
    stem = cache.path(KEY).stem
    (cache.folder / f"{stem}.lock").touch()
    (cache.folder / f".{'a' * 64}.safetensors.x1_y.tmp").write_bytes(b"12345")
    result = ganbench("cache", "clear", "--yes")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"deleted 3 files and 2 left-over files; {total + 5:,} bytes freed\n"
    assert not list(cache.folder.iterdir())


def test_clear_spares_what_is_young(ganbench, cache):
    aged = cache.path(KEY)
    os.utime(aged, (time.time() - 3 * 86_400,) * 2)
    (cache.folder / f"{aged.stem}.lock").touch()
    result = ganbench("cache", "clear", "--yes", "--older-than", 2, "--json")
    shown = json.loads(result.stdout)
    assert shown["removed"] == [str(cache.folder / f"{aged.stem}.lock"), str(aged)]
    assert shown["bytes"] > 1000
    assert len(list(cache.folder.glob("*.safetensors"))) == 2
    assert ganbench("cache", "clear", "--older-than", 2).stdout == "deleted 0 files; 0 bytes freed\n"  # nothing to ask
    assert len(list(cache.folder.iterdir())) == 2
    assert ganbench("cache", "clear", "--older-than", -1).exit_code == 2


def test_what_is_in_use_is_left_and_named(ganbench, cache):
    lock = cache.path(KEY).with_suffix(".lock")
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        result = ganbench("cache", "clear", "--yes")
        holder.kill()
    assert result.exit_code == 0
    assert "deleted 2 files;" in result.stdout
    assert f"note: {cache.path(KEY)} is in use and was left" in result.stderr
    assert sorted(cache.folder.iterdir()) == sorted([cache.path(KEY), lock])
    assert ganbench("cache", "clear", "--yes").exit_code == 0
    assert not list(cache.folder.iterdir())


def test_foreign_files_are_named_and_never_deleted(ganbench, cache):
    (cache.folder / "thesis.txt").write_text("years of work")
    (cache.folder / f"{'b' * 64}.safetensors").mkdir()
    (cache.folder / f"{'c' * 64}.safetensors").symlink_to(cache.folder / "thesis.txt")
    (cache.folder / f"{'d' * 63}.safetensors").write_text("")
    result = ganbench("cache", "clear", "--yes")
    assert result.exit_code == 0
    left = sorted(path.name for path in cache.folder.iterdir())
    assert left == sorted(["thesis.txt", *(f"{c * n}.safetensors" for c, n in (("b", 64), ("c", 64), ("d", 63)))])
    assert all(f"{name} is none of ours and was left" in result.stderr for name in left)
    assert all(f"{name} is none of ours" in ganbench("cache", "list").stderr for name in left)


def test_a_file_that_cannot_be_deleted_is_named(ganbench, cache, monkeypatch):
    real = Path.unlink

    def refuse(self, missing_ok=False):
        if self.suffix == ".safetensors":
            raise PermissionError(13, "Permission denied")
        real(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    result = ganbench("cache", "clear", "--yes")
    assert result.exit_code == 1
    assert f"{cache.path(KEY)} cannot be deleted and was left" in result.stderr


def test_a_folder_that_cannot_be_read_is_said(ganbench, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "reference").write_text("in the way")
    for verb in ("list", "verify", "clear"):
        result = ganbench("cache", verb)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "cannot be read" in result.stderr
