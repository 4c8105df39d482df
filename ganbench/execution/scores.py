"""What `ganbench score` and `ganbench.score` give: scores by name, each with its protocol, as table, frame or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ganbench.results import text
from ganbench.results.render import padded
from ganbench.scoring.request import Score

if TYPE_CHECKING:
    import pandas as pd

_HEADER = ("metric", "value", "s.e.", "floor", "N generated / reference", "note")


@dataclass(frozen=True)
class Side:
    """One of the two sets: ``n`` samples of ``available`` were looked at (None: there is no end to them).

    ``content`` is the SHA-256 of the whole set, None for one that was drawn as it was needed; ``about`` says how it was
    read or drawn.
    """

    name: str
    n: int
    available: int | None
    content: str | None
    about: Mapping[str, Any]


@dataclass(frozen=True)
class Scores(Mapping[str, Score]):
    """Scores by the full names of their metrics (``fd/digits_cnn``), in the order asked for.

    ``protocols`` holds by the same names all that each number depends on: ``id``, ``label``, ``direction``, ``scale``,
    ``protocol``, and beside it ``floor``, what sampling alone gives: ``{"value", "extrapolated"}`` or None.
    ``generated`` and ``reference`` say which sets these were; ``environment`` where it was computed.
    """

    scores: tuple[Score, ...]
    protocols: Mapping[str, Mapping[str, Any]]
    generated: Side
    reference: Side
    environment: Mapping[str, Any]

    def __getitem__(self, metric: str) -> Score:
        for score in self.scores:
            if score.metric == metric:
                return score
        raise KeyError(metric)

    def __iter__(self) -> Iterator[str]:
        return (score.metric for score in self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    def rows(self) -> list[dict[str, Any]]:
        """Return a record for each score: what was measured, its floor, how many samples each side gave."""
        return [self._row(score) for score in self.scores]

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with a row for each score, in order; the columns are the keys of `rows`."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def to_json(self) -> dict[str, Any]:
        """Return everything as what JSON can hold."""
        protocols = {entry["id"]: dict(entry) for entry in self.protocols.values()}
        sides = {"generated": asdict(self.generated), "reference": asdict(self.reference)}
        return {**sides, "scores": self.rows(), "protocols": protocols, "environment": dict(self.environment)}

    def __str__(self) -> str:
        """Return the table, and below it the protocol in words."""
        body = [[text.markdown(cell) for cell in self._cells(score)] for score in self.scores]
        title = f"{self.generated.name} against {self.reference.name}"
        table = padded([text.markdown(name) for name in _HEADER], body, [False, True, True, True, True, False])
        notes = [f"- {text.plain(note)}" for note in self._words()]
        return "\n".join([f"**{text.markdown(title)}**", "", *table, "", *notes])

    def __repr__(self) -> str:
        shown = ", ".join(f"{s.metric}: {s.status if s.value is None else f'{s.value:.6g}'}" for s in self.scores)
        return f"<Scores of {self.generated.name} against {self.reference.name}: {shown}>"

    def _row(self, score: Score) -> dict[str, Any]:
        entry = self.protocols[score.metric]
        floor = entry["floor"] or {"value": None, "extrapolated": False}
        return {
            "metric": score.metric,
            "label": entry["label"],
            "direction": entry["direction"],
            "value": score.value,
            "error": score.error,
            "floor": floor["value"],
            "floor_extrapolated": floor["extrapolated"],
            "n_generated": entry["protocol"]["generated"]["n"],
            "n_reference": entry["protocol"]["reference"]["n"],
            "status": score.status,
            "reason": score.reason,
            "note": score.note,
            "protocol": score.protocol,
        }

    def _cells(self, score: Score) -> list[str]:
        row = self._row(score)
        value, error, floor = row["value"], row["error"], row["floor"]
        return [
            f"{score.metric} {text.ARROWS[row['direction']]}",
            "" if value is None else text.significant(value),
            "" if error is None else text.significant(error, 2),
            "" if floor is None else text.significant(floor),
            f"{row['n_generated']:,} / {row['n_reference']:,}",
            score.note or "" if score.status == "done" else f"{score.status}: {score.reason}",
        ]

    def _words(self) -> Iterator[str]:
        """Yield the protocol in words: what it says of all metrics, then what it says of each."""
        yield f"generated: {_side(self.generated)}"
        yield f"reference: {_side(self.reference)}"
        entries = list(self.protocols.values())
        extractor = entries[0]["protocol"]["extractor"]
        yield f"extractor: {_extractor(extractor)}"
        yield f"preprocessing: {_preprocessing(extractor.get('preprocessing'))}"
        for full, entry in self.protocols.items():
            yield f"{full}: {_settings(entry)}"
        floors = [full for full, entry in self.protocols.items() if (entry["floor"] or {}).get("extrapolated")]
        if any(entry["floor"] for entry in entries):
            scaled = f"; scaled to this many from fewer: {', '.join(floors)}" if floors else ""
            yield f"floor: real against real at this number of samples{scaled}"
        if any(score.error is not None for score in self.scores):
            yield "s.e.: standard error over the generated samples, the reference held fixed; not the spread over seeds"


def _side(side: Side) -> str:
    about = [f"{key} {value}" for key, value in side.about.items() if key in {"dataset", "split"} and value]
    about += [f"{key}={value}" for key, value in side.about.get("parameters", {}).items() if value is not None]
    sha = side.content or side.about.get("generator_sha256")
    content = [f"{'' if side.content else 'generator '}SHA-256 {sha[:16]}"] if sha else []
    some = "" if side.available in {None, side.n} else f" of {side.available:,}"
    return ", ".join([side.name, *about, f"{side.n:,}{some} samples", *content])


def _extractor(extractor: Mapping[str, Any]) -> str:
    weights = extractor.get("weights_sha256")
    parts = [extractor["name"], *(["forced onto these data"] if extractor["forced"] else [])]
    parts += [f"layer {extractor['layer']}"] if "layer" in extractor else []
    parts += [f"width {extractor['width']}"] if "width" in extractor else []
    return ", ".join([*parts, f"weights SHA-256 {weights[:16]}" if weights else "no weights"])


def _preprocessing(given: Any) -> str:
    return "; ".join(f"{key}: {value}" for key, value in given.items()) if isinstance(given, Mapping) else str(given)


def _settings(entry: Mapping[str, Any]) -> str:
    protocol = entry["protocol"]
    settings = [f"{key} {value}" for key, value in protocol["estimator"].items()]
    seed = [f"seed {protocol['seed']}"]
    return ", ".join([*settings, *seed, f"version {protocol['metric']['version']}, protocol {entry['id']}"])
