"""Records hold a finite number or a reason, never a sentinel."""

import json
import math
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganbench.errors import ResultsError
from ganbench.results.record import STATUSES, Record

DONE = Record(
    run="ab12",
    dataset="digits",
    architecture="mlp",
    loss="hinge",
    seed=0,
    images_seen=50000,
    metric="fd/digits_cnn",
    value=1.5,
    status="done",
    reason=None,
    protocol="0123456789abcdef",
)


def test_a_record_survives_json():
    assert Record.from_json(json.loads(json.dumps(DONE.to_json()))) == DONE


def test_a_baseline_has_no_loss():
    baseline = replace(DONE, architecture="real", loss=None)
    assert Record.from_json(baseline.to_json()).loss is None


@given(st.floats(allow_nan=False, allow_infinity=False), st.text(), st.sampled_from(STATUSES), st.text(min_size=1))
def test_every_valid_record_survives_json(value, reason, status, run):
    done = status == "done"
    record = replace(
        DONE, run=run, status=status, value=value if done else None, reason=reason if done else f"r{reason}"
    )
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_a_whole_number_becomes_a_float():
    assert isinstance(replace(DONE, value=8).value, float)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"value": math.nan}, "finite"),
        ({"value": math.inf}, "finite"),
        ({"value": None}, "finite"),
        ({"value": True}, "finite"),
        ({"value": "1"}, "finite"),
        ({"status": "diverged"}, "must be null"),
        ({"status": "failed", "value": None}, "gives no reason"),
        ({"status": "skipped", "value": None, "reason": ""}, "gives no reason"),
        ({"status": "fine"}, "must be one of done, diverged"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.0}, "seed is 1.0"),
        ({"images_seen": True}, "images_seen is True"),
        ({"run": ""}, "run is ''"),
        ({"protocol": None}, "protocol is None"),
        ({"loss": 3}, "loss is 3"),
        ({"note": 3}, "note is 3"),
        ({"error": -1.0}, "has the error -1.0"),
        ({"error": math.nan}, "has the error nan"),
        ({"error": 1.0, "status": "failed", "value": None, "reason": "x"}, "that is failed has the error 1.0"),
    ],
)
def test_what_a_record_refuses(change, said):
    with pytest.raises(ResultsError, match=said):
        Record(**(asdict(DONE) | change))


def test_a_record_of_before_errors_were_kept_is_read():
    data = {key: value for key, value in DONE.to_json().items() if key not in ("error", "note")}
    assert Record.from_json(data) == DONE


def test_missing_and_unknown_keys_are_named():
    data = DONE.to_json()
    with pytest.raises(ResultsError, match="lacks metric, value"):
        Record.from_json({key: data[key] for key in data if key not in ("metric", "value")})
    with pytest.raises(ResultsError, match="unknown key colour; known: architecture"):
        Record.from_json({**data, "colour": "red"})
    with pytest.raises(ResultsError, match="JSON object"):
        Record.from_json([1])
