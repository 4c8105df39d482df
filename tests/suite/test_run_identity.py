"""The training id: what changes it, what does not, and that every machine computes the same one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ganbench.identity import digest
from ganbench.suite.plan import Run

EXPAND = """
import json, sys
from pathlib import Path
from ganbench.catalog import load_catalog
from ganbench.suite.expand import expand
from ganbench.suite.source import validate
table, plugins = json.loads(sys.argv[1]), [Path(path) for path in sys.argv[2:]]
print([run.id for run in expand(validate(table, "s.toml"), load_catalog(plugins), Path()).runs()])
"""
HELPER = "def half(x):\n    return x / 2\n"
SHARING = '''
from dataclasses import dataclass
from typing import ClassVar

import ganbench

from ._helper import half


@dataclass(frozen=True)
class Sharing:
    """A loss that takes a building block from beside it."""

    name: ClassVar[str] = "sharing"
    paper: ClassVar[str] = "none"

    def generator(self, game):
        return half(game.fake_logits.mean())


@ganbench.hookimpl
def losses():
    return [Sharing]
'''


def ids(plan) -> list[str]:
    return [run.id for cell in plan.cells for run in cell.runs]


def test_an_id_is_sixteen_hexadecimal_digits_of_the_configurations_digest(plan):
    for run in plan().runs():
        assert run.id == digest(run.config)[:16]
        assert len(run.id) == 16


def test_the_order_of_keys_does_not_matter(plan):
    (cell,) = plan(seeds=1, recipe={"g_lr": 0.1, "pac": 2}).cells
    (turned,) = plan(seeds=1, recipe={"pac": 2, "g_lr": 0.1}).cells
    assert ids(plan(recipe={"pac": 2, "g_lr": 0.1})) == ids(plan(recipe={"g_lr": 0.1, "pac": 2}))
    config = cell.runs[0].config
    backwards = json.loads(json.dumps(config), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert list(backwards) == list(reversed(config))
    assert Run(backwards, {}, {}).id == cell.runs[0].id == turned.runs[0].id


def test_another_process_computes_the_same_ids(plan, tmp_path):
    table = {
        "name": "s",
        "datasets": ["blobs"],
        "architectures": ["tiny(codes=2)", {"generator": "orderly", "discriminator": "strict"}],
        "losses": ["logistic+r1(gamma=3)+box", "firm+brightness"],
        "recipe": {"g_optimizer": "adam(eps=1e-7)"},
        "budget": {"generator_updates": 7},
    }
    plugins = [str(Path(__file__).parents[1] / "plugins" / name) for name in ("toys.py", "mannered.py")]
    environment = {key: value for key, value in os.environ.items() if key != "GANBENCH_PLUGINS"}
    other = subprocess.run(
        [sys.executable, "-c", EXPAND, json.dumps(table), *reversed(plugins)],
        env={**environment, "PYTHONHASHSEED": "12345"}, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert other.stdout.strip() == str([run.id for run in plan(**table).runs()])


CHANGES = [
    {"seeds": [5, 6, 7]},
    {"budget": {"images": 641}},
    {"budget": {"generator_updates": 640}},
    {"datasets": ["blobs(n=97)"]},
    {"architectures": ["tiny(norm=true)"]},
    {"architectures": [{"generator": "tiny", "discriminator": "tiny(norm=true)"}]},
    {"losses": ["bilinear"]},
    {"losses": ["logistic+r1"]},
    {"losses": ["logistic+r1(gamma=2)"]},
    {"constraints": ["box"]},
    {"augmentations": ["brightness"]},
    *({"recipe": {key: value}} for key, value in {
        "batch_size": 32, "schedule": ["D", "D", "G"], "pac": 2, "ema_halflife_images": 1, "ema_rampup": 0.1,
        "g_optimizer": "plain_adam", "d_optimizer": "adam(eps=1e-7)", "g_lr": 1e-3, "d_lr": 1e-3, "g_betas": [0, 0.9],
        "d_betas": [0, 0.9], "g_lr_decay": "linear", "d_lr_decay": "cosine",
    }.items()),
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_training_depends_on_makes_new_runs(plan, change):
    before, after = ids(plan()), ids(plan(**change))
    assert len(before) == len(after) == 3
    assert not set(before) & set(after)


def test_all_these_changes_differ_from_each_other(plan):
    assert len({run for change in CHANGES for run in ids(plan(**change))}) == 3 * len(CHANGES)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another"},
        {"description": "in other words"},
        {"scoring": {"samples": 50, "metrics": ["fd"], "at": [0.5, 1.0], "seed": 3, "force": True}},
        {"scoring": {"extractor": "absent"}},
        {"architectures": [{"name": "tiny", "label": "mine"}], "losses": ["logistic(label=yours)"]},
        {"datasets": [], "dataset": [{"name": "blobs", "label": "ours"}]},
        {"allow_incompatible": True},
        {"baselines": []},
        {"losses": ["logistic", "hinge"]},
        {"seeds": [0, 1, 2, 9]},
        {"architectures": ["tiny(norm=false,codes=0)"]},
        {"datasets": ["blobs(n=96)"]},
        {"budget": {"images": 640.0}},
        {"overrides": {"g_lr": 0.0002}},
        {"cell": [{"where": {}, "recipe": {"g_lr": 2e-4}}]},
        {"recipe": {
            "batch_size": 64, "schedule": ["D", "G"], "pac": 1, "ema_halflife_images": 10000, "ema_rampup": 0.05,
            "g_optimizer": {"name": "adam", "eps": 1e-8}, "d_optimizer": "adam", "g_lr": 2e-4, "d_lr": 2e-4,
            "g_betas": [0.5, 0.999], "d_betas": [0.5, 0.999], "g_lr_decay": "constant", "d_lr_decay": "constant",
        }},
    ],
)  # fmt: skip
def test_what_it_does_not_depend_on_keeps_them(plan, change):
    assert set(ids(plan())) <= set(ids(plan(**change)))


def test_the_content_of_a_dataset_enters_its_place_does_not(plan, tmp_path):
    (tmp_path / "content.txt").write_text("one")
    one = ids(plan(datasets=["own(path=p)"]))
    (tmp_path / "content.txt").write_text("two")
    two = ids(plan(datasets=["own(path=p)"]))
    assert not set(one) & set(two)
    (tmp_path / "content.txt").write_text("one")
    assert ids(plan(datasets=["own(path=p)"])) == one


def test_a_baselines_runs_depend_on_seed_and_budget_only_if_it_is_trained(plan):
    def rows(**changes):
        return [[run.id for run in row.runs] for row in plan(baselines=["real", "trained"], **changes).baselines]

    real, trained = rows()
    assert rows(budget={"images": 5})[0] == real
    assert not set(rows(budget={"images": 5})[1]) & set(trained)
    assert rows(recipe={"d_lr": 1})[1] == trained
    assert rows(seeds=1) == [real, trained[:1]]


def test_editing_a_plugin_makes_its_runs_new_and_no_others(plan, edited):
    losses = ["edited", "logistic"]
    before = ids(plan(using=edited(), losses=losses))
    assert ids(plan(using=edited(), losses=losses)) == before
    after = ids(plan(using=edited("Half a loss", "Half of a loss"), losses=losses))
    assert not set(before[:3]) & set(after[:3])
    assert before[3:] == after[3:]
    assert ids(plan(using=edited(), losses=losses)) == before


def test_editing_a_building_block_makes_the_runs_of_its_users_new(plan, tmp_path, beside):
    folder = tmp_path / "shared_plugin"
    folder.mkdir()
    other_helper, other_user = HELPER.replace("x / 2", "0.5 * x"), SHARING.replace("from beside it", "from nearby")
    found = []
    for helper, user in ((HELPER, SHARING), (other_helper, SHARING), (HELPER, other_user), (HELPER, SHARING)):
        (folder / "_helper.py").write_text(helper)
        (folder / "sharing.py").write_text(user)
        found.append(ids(plan(using=beside(folder), losses=["sharing"])))
    assert len({run for each in found[:3] for run in each}) == 9
    assert found[0] == found[3]
