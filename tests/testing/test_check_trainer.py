"""What `check_component` asks of a trainer: each class below breaks one clause; the message must name which."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from ganbench.files import write_json
from ganbench.testing import ComponentFault, check_component


@dataclass(frozen=True)
class Good:
    name: ClassVar[str] = "good"
    paper: ClassVar[str] = "none"

    patience: int = 1

    def train(self, lesson):
        if lesson.dataset.load(lesson.root, "train").labels is None:
            raise ValueError("there is nothing to learn")
        return self.leave(lesson)

    def leave(self, lesson):
        lesson.tell(0.5, "half")
        lesson.tell(1.0, "done")
        return self.keep(lesson, {"test": {"images": 48, "accuracy": 1.0}})

    def keep(self, lesson, card):
        write_json(lesson.folder / f"{lesson.name}.json", card)
        return card


def broken(**methods):
    return dataclass(frozen=True)(type("Broken", (Good,), {"name": "broken", **methods}))


def raising(self, lesson):
    raise KeyError("no such thing")


def strewing(self, lesson):
    write_json(lesson.folder.parent / "elsewhere.json", {})
    return Good.leave(self, lesson)


def falling(self, lesson):
    lesson.tell(1.0, "all")
    return Good.leave(self, lesson)


def silent(self, lesson):
    return self.keep(lesson, {"test": {"images": 48, "accuracy": 1.0}})


def test_a_trainer_that_keeps_to_the_contract_passes():
    check_component(Good)
    check_component(Good(patience=3), kind="trainer")


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"leave": raising}, "trainer broken.*raised KeyError"),
        (
            {"leave": lambda self, lesson: self.keep(lesson, {})},
            "the card's test is None; wants images and an accuracy",
        ),
        (
            {"leave": lambda self, lesson: self.keep(lesson, {"test": {"images": 4, "accuracy": 40}})},
            "the card's test is",
        ),
        ({"keep": lambda self, lesson, card: {**card, "seen": {1, 2}}}, "trainer broken.*TypeError"),
        ({"keep": lambda self, lesson, card: card}, "was to write checked.json, and there is none"),
        ({"leave": strewing}, "trainer broken of the extractor 'checked' wrote elsewhere.json"),
        ({"leave": falling}, r"told the shares \[1.0, 0.5, 1.0\]; wants them to rise within \[0, 1\]"),
        ({"leave": silent}, r"told the shares \[\]"),
        ({"train": lambda self, lesson: self.leave(lesson)}, "took a data set without labels; raise ValueError"),
    ],
)
def test_what_breaks_the_contract_is_named(methods, message):
    with pytest.raises(ComponentFault, match=message):
        check_component(broken(**methods))
