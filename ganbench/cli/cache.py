"""``ganbench cache``: what is kept of the features of real data, whether it is sound, and clearing it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.layout import columns
from ganbench.cli.options import json_option
from ganbench.errors import GanbenchError

if TYPE_CHECKING:
    from ganbench.scoring.upkeep import Entry

REFUSED = 1  # exit code of `verify` where a file is refused


@click.group("cache")
def cache() -> None:
    """Look after the features of real data that scoring keeps (below GANBENCH_CACHE)."""


@cache.command("list")
@json_option
def show(as_json: bool) -> None:
    """List the kept files: data, extractor, samples, what is kept of them, size, age, file."""
    from ganbench.scoring.reference import ReferenceCache
    from ganbench.scoring.upkeep import entries, foreign

    kept = ReferenceCache()
    found, strange = entries(kept), foreign(kept)
    total = sum(entry.bytes for entry in found)
    if as_json:
        files = [{"path": str(e.path), "bytes": e.bytes, "age_seconds": round(e.age), **e.described(),
                  "state": _state(e)} for e in found]  # fmt: skip
        _print({"folder": str(kept.folder), "files": files, "bytes": total, "foreign": [str(p) for p in strange]})
        return
    if found:
        head = ("data", "extractor", "samples", "kept", "size", "age", "file")
        for line in columns([head, *(_row(entry) for entry in found)], [28, 20, 10, 28, 10, 10], indent=0):
            click.echo(line)
    click.echo(f"{len(found)} files, {_size(total)}, in {kept.folder}")
    for path in strange:
        click.echo(f"note: {path} is none of ours", err=True)


@cache.command("verify")
@json_option
@click.pass_context
def verify(ctx: click.Context, as_json: bool) -> None:
    """Read every file and say whether it is sound; exit code 1 if one would be refused."""
    from ganbench.scoring.reference import ReferenceCache
    from ganbench.scoring.upkeep import entries, fault

    found = [(entry, fault(entry)) for entry in entries(ReferenceCache())]
    wrong = [reason for _, reason in found if reason]
    if as_json:
        rows = [{"path": str(e.path), "state": "refused" if r else _state(e), "reason": r} for e, r in found]
        _print({"files": rows, "refused": len(wrong)})
    else:
        for entry, reason in found:
            click.echo(f"refused  {reason}" if reason else f"{_state(entry):<7}  {entry.path}")
        old = sum(entry.is_old and not reason for entry, reason in found)
        sound = len(found) - old - len(wrong)
        click.echo(f"{len(found)} files: {sound} sound, {old} of an old format, {len(wrong)} refused", err=True)
    if wrong:
        ctx.exit(REFUSED)


@cache.command("clear")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--older-than", type=click.FloatRange(0), default=0.0, metavar="DAYS", help="Only files of this age.")
@json_option
@click.pass_context
def clear(ctx: click.Context, yes: bool, older_than: float, as_json: bool) -> None:
    """Delete what is kept, and what was left by processes that are no more; it is computed anew when it is wanted.

    A file that a process is using is left and named, and so is a file that is none of ours.
    """
    from ganbench.scoring.reference import ReferenceCache
    from ganbench.scoring.upkeep import clear as delete
    from ganbench.scoring.upkeep import entries, foreign

    kept = ReferenceCache()
    affected = [entry for entry in entries(kept) if entry.age >= older_than * 86_400]
    if affected and not yes:
        size = _size(sum(entry.bytes for entry in affected))
        question = f"delete {len(affected)} files ({size}) in {kept.folder}?"
        if not _can_ask():
            raise GanbenchError(f"{question.removesuffix('?')}: nobody can be asked here; say so with --yes")
        click.confirm(question, abort=True, err=True)
    done = delete(kept, older_than)
    left = [(path, "is in use") for path in done.in_use] + [(path, "cannot be deleted") for path in done.stuck]
    left += [(path, "is none of ours") for path in foreign(kept)]
    if as_json:
        removed = [str(path) for path in done.removed]
        _print({"removed": removed, "bytes": done.bytes, "left": [{"path": str(p), "reason": r} for p, r in left]})
    else:
        stores = sum(path.suffix == ".safetensors" for path in done.removed)
        more = len(done.removed) - stores
        leftovers = f" and {more} left-over {'file' if more == 1 else 'files'}" if more else ""
        click.echo(f"deleted {stores} {'file' if stores == 1 else 'files'}{leftovers}; {done.bytes:,} bytes freed")
        for path, reason in left:
            click.echo(f"note: {path} {reason} and was left", err=True)
    if done.stuck:
        ctx.exit(REFUSED)


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _state(entry: Entry) -> str:
    if entry.header is None:
        return "unreadable"
    return "old" if entry.is_old else "sound"


def _row(entry: Entry) -> tuple[str, ...]:
    about, name = entry.described(), f"{entry.path.name[:12]}...{' (old)' if entry.is_old else ''}"
    if entry.header is None:
        return ("unreadable", "", "", "", _size(entry.bytes), _age(entry.age), name)
    kept, n = ", ".join(about["kept"]), f"{about['n']:,}"
    return (about["data"], str(about["extractor"] or ""), n, kept, _size(entry.bytes), _age(entry.age), name)


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _age(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _print(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
