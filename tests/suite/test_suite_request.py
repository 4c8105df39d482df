"""Where a suite comes from, and what the command line's flags make of it."""

from __future__ import annotations

import re

import pytest

from ganbench.catalog import Catalog, SuiteEntry
from ganbench.errors import SuiteError
from ganbench.suite.expand import expand
from ganbench.suite.source import DEFAULT_IMAGES, DEFAULT_SUITE, Flags, Request, read_request

FILE = """
description = "as filed"
datasets = ["blobs"]
architectures = ["tiny", "batch_coupled"]
seeds = 2
regularizers = ["counting"]

[[loss]]
name = "logistic"

[recipe]
batch_size = 32

[budget]
images = 640

[scoring]
samples = 50
metrics = ["fd"]
"""
PRODUCT = {"datasets": ["blobs"], "architectures": ["tiny"], "losses": ["logistic"]}


@pytest.fixture
def ask(catalog, tmp_path):
    """Read the suite file with flags; without a text, from the flags alone."""

    def ask(text: str | None = FILE, **flags) -> Request:
        source = None
        if text is not None:
            (tmp_path / "filed.toml").write_text(text)
            source = str(tmp_path / "filed.toml")
        return read_request(source, Flags(**flags), catalog)

    return ask


def names(entries) -> list[str]:
    return [entry.name for entry in entries]


# Sources


def test_a_file_is_named_after_itself_unless_it_names_itself(ask):
    request = ask()
    assert (request.suite.name, request.suite.description) == ("filed", "as filed")
    assert (request.text, request.overrides) == (FILE, {})
    assert ask('name = "other"\n' + FILE).suite.name == "other"


def test_a_bundled_suite_goes_by_its_name(catalog):
    request = read_request("quickstart", Flags(), catalog)
    assert request.suite.name == "quickstart"
    assert request.text == catalog.suite("quickstart").path.read_text()


def test_nothing_at_all_is_the_default_suite(catalog):
    assert read_request(None, Flags(), catalog) == read_request(DEFAULT_SUITE, Flags(), catalog)


def test_a_file_without_suffix_is_read_before_a_bundled_suite_is_looked_for(catalog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").write_text(FILE)
    assert read_request("quickstart", Flags(), catalog).suite.description == "as filed"


def test_a_folder_hides_no_bundled_suite(catalog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    assert read_request("quickstart", Flags(), catalog).suite.name == "quickstart"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("absent.toml", r"^cannot read the suite absent\.toml: No such file or directory$"),
        ("folder.toml", r"^cannot read the suite folder\.toml: Is a directory$"),
        ("latin.toml", r"^cannot read the suite latin\.toml: 'utf-8' codec can't decode byte 0xe9"),
        ("open.toml", r"^open\.toml is not TOML: Unclosed array \(at end of document\)$"),
        ("quikstart", r"^unknown suite 'quikstart'; did you mean 'quickstart'\? known: .*quickstart"),
    ],
)
def test_what_cannot_be_read_is_said(catalog, tmp_path, monkeypatch, source, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    (tmp_path / "open.toml").write_text("name = [1\n")
    with pytest.raises(SuiteError, match=sentence):
        read_request(source, Flags(), catalog)


def test_a_suite_of_a_plugin_may_be_gone_by_now(tmp_path):
    catalog = Catalog(suites={"gone": SuiteEntry("gone", tmp_path / "gone.toml", "here")})
    with pytest.raises(SuiteError, match=r"cannot read the suite .*gone\.toml: No such file"):
        read_request("gone", Flags(), catalog)


# The command line alone


def test_three_axes_stand_alone(ask):
    request = ask(None, **PRODUCT)
    assert re.fullmatch(r"blobs-[0-9a-f]{8}", request.suite.name)
    assert request.text is None
    assert request.suite.budget.images == DEFAULT_IMAGES
    assert request.suite.seeds == (0, 1, 2)


def test_a_stand_alone_name_says_what_was_asked_for_each_time_the_same(ask):
    name = ask(None, **PRODUCT).suite.name
    assert ask(None, **PRODUCT).suite.name == name
    others = [
        {"losses": ["bilinear"]},
        {"seeds": "4"},
        {"budget": {"images": 5}},
        {"settings": ["recipe.g_lr=0.1"]},
        {"settings": ["scoring.samples=7"]},
        {"allow_incompatible": True},
    ]
    found = [ask(None, **{**PRODUCT, **change}).suite.name for change in others]
    assert len({name, *found}) == 1 + len(others)
    assert all(other.startswith("blobs-") for other in found)


@pytest.mark.parametrize("change", [{"name": "mine"}, {"settings": ["name=mine"]}])
def test_a_name_may_be_given(ask, change):
    assert ask(None, **PRODUCT, **change).suite.name == "mine"
    assert ask(**change).suite.name == "mine"


@pytest.mark.parametrize("setting", ["recipe.g_lr=nan", "recipe.g_lr=2020-01-01", "scoring.samples=inf"])
def test_values_that_json_cannot_hold_are_words(ask, catalog, tmp_path, setting):
    def expanded():
        request = ask(None, **PRODUCT, settings=[setting])
        return expand(request.suite, catalog, tmp_path, request.overrides)

    with pytest.raises(SuiteError, match="wants a number; found '"):
        expanded()


@pytest.mark.parametrize("amount", [float("nan"), float("inf")])
def test_a_budget_is_finite(ask, amount):
    with pytest.raises(SuiteError, match=r"^command line: budget\.seconds: wants a finite number; found (nan|inf)$"):
        ask(None, **PRODUCT, budget={"seconds": amount})


# Flags over a suite


def test_an_axis_that_is_given_replaces_the_suites_own(ask):
    suite = ask(architectures=["tiny(codes=2),scalars"], losses=["bilinear", "firm+r1(gamma=2)"]).suite
    assert names(suite.all_architectures) == ["tiny", "scalars"]
    assert suite.all_architectures[0].parameters == {"codes": 2}
    assert names(suite.all_losses) == ["bilinear", "firm"]
    assert names(suite.all_losses[1].extras) == ["r1"]
    assert names(suite.all_datasets) == ["blobs"]
    assert (suite.name, suite.recipe) == ("filed", {"batch_size": 32})


def test_regularizers_are_added_to_the_suites_own(ask):
    suite = ask(regularizers=["r1(gamma=2),wgan_gp", "early"]).suite
    assert names(suite.regularizers) == ["counting", "r1", "wgan_gp", "early"]
    assert suite.regularizers[1].parameters == {"gamma": 2}


def test_baselines_on_the_command_line_take_the_place_of_the_suites(ask):
    assert ask().suite.baselines is None
    suite = ask(FILE.replace("seeds", "baselines = ['noise']\nseeds", 1), baselines=["real,trained", "noise"]).suite
    assert names(suite.baselines) == ["real", "trained", "noise"]


def test_flags_of_scoring_leave_the_rest_of_it(ask):
    scoring = ask(
        metrics=["fd, kd(degree=2,subsets=5)", "cs"], extractor="projection(width=4)", force_extractor=True
    ).suite.scoring
    assert scoring.metrics == ("fd", "kd(degree=2,subsets=5)", "cs")
    assert (scoring.extractor.name, scoring.extractor.parameters) == ("projection", {"width": 4})
    assert (scoring.samples, scoring.force) == (50, True)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", (0, 1, 2)), ("1e0", (0,)), ("0,1,7", (0, 1, 7)), ("[5]", (5,)), ("5,", (5,)), ("1e1,2", (10, 2))],
)
def test_seeds_as_a_number_or_a_list(ask, text, seeds):
    assert ask(seeds=text).suite.seeds == seeds


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "1e9", "true", "1,1", "1,-1", "a,b", "1;2"])
def test_seeds_that_have_no_meaning(ask, text):
    with pytest.raises(SuiteError, match=r"^command line: seeds"):
        ask(seeds=text)


def test_a_budget_replaces_the_suites_own_whatever_its_unit(ask):
    assert ask(budget={"seconds": 2.5}).suite.budget.model_dump(exclude_none=True) == {"seconds": 2.5}


def test_incompatible_cells_may_be_allowed(ask):
    assert not ask().suite.allow_incompatible
    assert ask(allow_incompatible=True).suite.allow_incompatible


def test_flags_apply_to_the_default_suite_too(catalog):
    suite = read_request(None, Flags(losses=["hinge"], seeds="1"), catalog).suite
    assert (suite.name, names(suite.all_losses), suite.seeds) == ("quickstart", ["hinge"], (0,))
    assert len(suite.all_architectures) == 2


# Settings


def test_a_setting_reaches_any_key(ask):
    suite = ask(settings=["scoring.at=[0.5, 1.0]", "description=now", "budget.images=1e3", "baselines=['real']"]).suite
    assert suite.scoring.at == (0.5, 1.0)
    assert suite.scoring.samples == 50
    assert (suite.description, suite.budget.images, names(suite.baselines)) == ("now", 1000, ["real"])


def test_a_setting_may_open_a_table(ask):
    text = FILE.partition("[scoring]")[0]
    extractor = ask(text, settings=["scoring.extractor.name=a", "scoring.extractor.width=3"]).suite.scoring.extractor
    assert (extractor.name, extractor.parameters) == ("a", {"width": 3})


def test_recipe_keys_of_the_command_line_stay_apart_and_win(ask, catalog, tmp_path):
    request = ask(settings=["recipe.batch_size=16", "recipe.g_optimizer=adam(eps=1e-6)", "recipe.schedule=['DG']"])
    assert request.overrides == {"batch_size": 16, "g_optimizer": "adam(eps=1e-6)", "schedule": ["DG"]}
    assert request.suite.recipe == {"batch_size": 32}
    run = next(run for cell in expand(request.suite, catalog, tmp_path, request.overrides).cells for run in cell.runs)
    assert run.origins["batch_size"] == {"value": 16, "from": "command line"}
    assert run.config["g_optimizer"]["parameters"]["eps"] == 1e-6


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("seeds", "cannot read --set 'seeds'; write --set key=value, as in recipe.g_lr=1e-4"),
        ("=1", "cannot read --set '=1'; write --set key=value, as in recipe.g_lr=1e-4"),
        ("a..b=1", "cannot read --set 'a..b=1'; write --set key=value, as in recipe.g_lr=1e-4"),
        ("seeds.x=1", "--set 'seeds.x=1': seeds is no table of the suite"),
        ("recipe.g_optimizer.eps=1", "a recipe key is set as a whole, as in recipe.g_optimizer='name(eps=1)'"),
        ("sedes=1", "command line: unknown key 'sedes'; did you mean 'seeds'? known: "),
        ("scoring.sample=1", "command line: unknown key 'sample' in scoring; did you mean 'samples'? known: "),
        ("losses=hinge", "command line: losses: wants a list; found 'hinge'"),
    ],
)  # fmt: skip
def test_settings_that_have_no_meaning(ask, setting, sentence):
    with pytest.raises(SuiteError) as error:
        ask(settings=[setting])
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("text", "flags", "sentence"),
    [
        ("scoring = 5", {"metrics": ["fd"]}, "scoring of the suite wants a table; found 5"),
        ("regularizers = 'r1'", {"regularizers": ["r1"]}, "regularizers of the suite wants a list; found 'r1'"),
        ("scoring = 5", {}, "scoring: wants a table; found 5"),
    ],
)
def test_flags_over_a_malformed_file(ask, text, flags, sentence):
    with pytest.raises(SuiteError) as error:
        ask(
            text + '\ndatasets = ["blobs"]\narchitectures = ["tiny"]\nlosses = ["firm"]\nbudget = {images = 1}', **flags
        )
    assert sentence in str(error.value)


def test_a_mistake_is_the_files_where_the_file_made_it(ask):
    wrong = FILE.replace("seeds = 2", "seeds = 0")
    with pytest.raises(SuiteError, match=r"filed\.toml: seeds wants"):
        ask(wrong)
    with pytest.raises(SuiteError, match=r"filed\.toml: seeds wants"):
        ask(wrong, losses=["hinge"])
    assert ask(wrong, seeds="1").suite.seeds == (0,)


def test_a_term_that_cannot_be_read_is_said(ask):
    with pytest.raises(SuiteError, match="a bracket or quote is left open in 'hinge"):
        ask(losses=["hinge("])
