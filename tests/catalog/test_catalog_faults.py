"""Each way in which a plugin can be broken becomes a fault of its own and takes nothing else with it."""

from __future__ import annotations

import sys

import pytest

from ganbench import GanbenchError
from ganbench.catalog import load_catalog
from ganbench.errors import UnknownComponent

EXPECTED = [  # file, stage, a part of the reason
    ("syntax_error.py", "import", "SyntaxError"),
    ("import_error.py", "import", "No module named 'ganbench_package_that_nobody_wrote'"),
    ("exits.py", "import", "SystemExit: this plugin needs another operating system"),
    ("stranger_exit.py", "import", "Strange"),
    ("raising_hook.py", "call", "RuntimeError: the licence server cannot be reached"),
    ("raising_hook.py", "call", "SystemExit: 3"),
    ("misspelt_hook.py", "register", "unknown hook 'loses'; did you mean 'losses'?"),
    ("unmarked_hook.py", "register", "'losses' is not marked with @ganbench.hookimpl"),
    ("unknown_argument.py", "register", "{'config'}"),
    ("wrong_type.py", "call", "hook 'losses' returned dict"),
    ("wrong_type.py", "call", "hook 'regularizers' returned str"),
    ("wrong_type.py", "call", "hook 'constraints' returned NoneType"),
    ("wrong_type.py", "check", "hook 'optimizers' returned int 3 in place of a component class"),
    ("wrong_type.py", "check", "hook 'suites' returned str in place of a Path"),
    ("not_frozen.py", "check", "Thawed is a dataclass, but not frozen"),
    ("not_frozen.py", "check", "Plain is not a dataclass"),
    ("not_frozen.py", "check", "Undecorated is not a dataclass"),
    ("bad_name.py", "check", "Shouting has the name 'Loud Name'"),
    ("bad_name.py", "check", "Nameless has the name None"),
    ("bad_name.py", "check", "Paperless has no class variable 'paper'"),
    ("reserved_field.py", "check", "Greedy has a field called 'sweep'"),
    ("lacking.py", "check", "Half lacks generator(), discriminator(), smallest()"),
    ("lacking.py", "check", "Idle defines none of discriminator(), generator()"),
    ("lacking.py", "check", "Whenever has after = 'lunch'; possible: discriminator, generator, round"),
    ("lacking.py", "check", "Uncallable lacks __call__()"),
    ("lacking.py", "check", "Undirected lacks the attribute 'direction'"),
    ("clash_a.py", "clash", "loss 'twin' is offered by"),
]


@pytest.mark.parametrize(("file", "stage", "reason"), EXPECTED, ids=[f"{e[0][:-3]}-{e[2][:24]}" for e in EXPECTED])
def test_each_broken_plugin_is_a_fault_with_its_reason(broken, file, stage, reason):
    matching = [fault for fault in broken.faults if file in fault.origin and reason in fault.reason]
    assert [fault.stage for fault in matching] == [stage]


def test_nothing_but_the_expected_faults(broken):
    unexpected = [
        fault
        for fault in broken.faults
        if not any(file in fault.origin and reason in fault.reason for file, _, reason in EXPECTED)
    ]
    assert [fault.reason for fault in unexpected if "str 'adam' in place of" not in fault.reason] == []


def test_everything_else_goes_on(broken):
    assert sorted(broken.entries) == [
        ("loss", "frozen"),
        ("loss", "single_a"),
        ("loss", "single_b"),
        ("loss", "spelt"),
        ("loss", "sturdy"),
        ("regularizer", "kept_penalty"),
    ]
    assert broken.find("loss", "sturdy").summary == "A loss that nothing around it can take away."


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("loss", "unparsed", "SyntaxError"),
        ("loss", "unimported", "ganbench_package_that_nobody_wrote"),
        ("loss", "unreached", "licence server"),
        ("loss", "argued", "config"),
        ("loss", "thawed", "not frozen"),
        ("loss", "greedy", "'sweep'"),
        ("loss", "Loud Name", "must match"),
        ("architecture", "half", "smallest()"),
        ("constraint", "whenever", "lunch"),
        ("loss", "twin", "clash_b.py"),
    ],
)
def test_asking_for_a_faulty_component_says_what_is_wrong(broken, kind, name, reason):
    with pytest.raises(UnknownComponent) as error:
        broken.find(kind, name)
    assert f"{kind} {name!r} cannot be used" in str(error.value)
    assert reason in str(error.value)


def test_asking_for_an_unknown_component_suggests_and_mentions_faults(broken):
    with pytest.raises(
        UnknownComponent, match=r"unknown loss 'sturdi'; did you mean 'sturdy'\? known: frozen, single_a"
    ):
        broken.find("loss", "sturdi")
    with pytest.raises(UnknownComponent, match="there is the regularizer of this name"):
        broken.find("loss", "kept_penalty")
    with pytest.raises(UnknownComponent, match="plugin faults may have taken it away, see 'ganbench plugins'"):
        broken.find("loss", "elsewhere")
    assert isinstance(broken.absent("twin"), GanbenchError)
    assert "clash_a.py" in str(broken.absent("twin"))
    assert "did you mean 'sturdy'?" in str(broken.absent("sturdi"))


def test_a_clash_names_both_places_with_their_lines(broken, plugins_folder):
    clash = next(fault for fault in broken.faults if fault.stage == "clash")
    folder = (plugins_folder / "broken").resolve()
    lines = (folder / "clash_a.py").read_text(encoding="utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.startswith("class TwinA")) - 1  # its decorator
    assert clash.names == (("loss", "twin"),)
    for place in (f"{folder / 'clash_a.py'}:{line}", f"{folder / 'clash_b.py'}:{line}"):
        assert place in clash.reason
        assert place in clash.origin


def test_tracebacks_start_in_the_plugin(broken):
    raised = next(fault for fault in broken.faults if "licence server" in fault.reason)
    first_frame = raised.traceback.splitlines()[1]
    assert "raising_hook.py" in first_frame
    assert "in losses" in first_frame
    assert all("pluggy" not in fault.traceback for fault in broken.faults if fault.stage != "register")


def test_an_available_component_is_never_listed_as_taken_away(broken):
    assert not {name for fault in broken.faults for name in fault.names} & set(broken.entries)


def test_failed_modules_leave_sys_modules(broken):
    left = [name for name in sys.modules if name.endswith((".syntax_error", ".import_error", ".exits"))]
    assert left == []
    assert any(name.endswith("_broken.good") for name in sys.modules)


@pytest.mark.parametrize("where", ["import", "hook"])
def test_ctrl_c_is_never_swallowed(alone, tmp_path, where):
    body = "raise KeyboardInterrupt"
    hook = f"from ganbench import hookimpl\n@hookimpl\ndef losses():\n    {body}\n"
    (tmp_path / "interrupted.py").write_text(body if where == "import" else hook, encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        load_catalog([tmp_path])


def test_what_plugins_print_does_not_reach_stdout(alone, plugins_folder, capsys):
    load_catalog([plugins_folder / "broken"])
    written = capsys.readouterr()
    assert written.out == ""
    assert "about to leave" in written.err


def test_contributed_text_loses_control_characters(alone, tmp_path, write_loss):
    path = write_loss(
        tmp_path / "loud.py", "loud", summary=r"Rings\a \x1b[31mred\x1b[0m \u202e bells.", paper=r"a\x1b]0;title\x07b"
    )
    entry = load_catalog([path]).find("loss", "loud")
    assert entry.summary == "Rings red bells."
    assert entry.paper == "ab"


def test_reasons_lose_control_characters_and_stay_short(alone, tmp_path):
    (tmp_path / "loud.py").write_text(r"raise ValueError('\x1b[2Jx\ny' + 'z' * 5000)", encoding="utf-8")
    (fault,) = load_catalog([tmp_path / "loud.py"]).faults
    assert fault.reason.startswith("ValueError: x yzzz")
    assert len(fault.reason) <= 400
    assert "\x1b" not in fault.traceback


def test_suite_files_are_checked(alone, tmp_path):
    (tmp_path / "Bad Name.toml").write_text("", encoding="utf-8")
    (tmp_path / "fine.toml").write_text("", encoding="utf-8")
    (tmp_path / "twice.toml").write_text("", encoding="utf-8")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "twice.toml").write_text("", encoding="utf-8")
    names = ["Bad Name.toml", "absent.toml", "fine.toml", "twice.toml", "more/twice.toml"]
    plugin = tmp_path / "some_suites.py"
    plugin.write_text(
        "from pathlib import Path\nfrom ganbench import hookimpl\n@hookimpl\ndef suites():\n"
        f"    return [Path(__file__).parent / name for name in {names}]\n",
        encoding="utf-8",
    )
    catalog = load_catalog([plugin])
    assert list(catalog.suites) == ["fine"]
    assert catalog.suite("fine").path == (tmp_path / "fine.toml").resolve()
    for name, reason in (("absent", "does not exist"), ("twice", "is offered by"), ("Bad Name", "must be called")):
        with pytest.raises(GanbenchError, match=reason):
            catalog.suite(name)
    with pytest.raises(GanbenchError, match=r"unknown suite 'fein'; did you mean 'fine'\?"):
        catalog.suite("fein")
