"""The trainer of classifiers: what it learns from, what it leaves, and what is offered of that."""

import json
import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from ganbench import Images, ImageSpec, PointSpec
from ganbench.catalog import load_catalog
from ganbench.components import Lesson
from ganbench.suite.terms import parse_term
from ganbench_zoo.classifier import FOLDER, Classifier, ClassifierExtractor, Plan, preprocess, read_card
from ganbench_zoo.classifier_card import readable, split_hash
from ganbench_zoo.datasets.digits import Digits
from ganbench_zoo.datasets.mnist import Mnist
from ganbench_zoo.extractors import trained
from ganbench_zoo.extractors.digits_cnn import DigitsCnn
from ganbench_zoo.extractors.mnist_cnn import MnistCnn
from ganbench_zoo.labelled import gather
from ganbench_zoo.trainers.classifier import ClassifierTrainer, augment, judge

DATA = os.environ.get("GANBENCH_DATA")
CPU = torch.device("cpu")
SMALL = ClassifierTrainer(
    epochs=9, batch_size=20, peak_lr=0.02, width=5, channels=(6, 8), strides=(1, 2), turn=0, zoom=0, shift=0
)


@dataclass(frozen=True)
class Stripes:
    """Images whose class says which rows are bright; ``own`` gives them a split "extractor"."""

    own: bool = False
    shape: tuple[int, int, int] = (3, 8, 12)
    classes: int | None = 3
    each: int = 20
    repeated: bool = False

    name: ClassVar[str] = "stripes"
    paper: ClassVar[str] = "tests"
    extractor: ClassVar[str] = "stripes_cnn"
    domain: ClassVar[str] = "striped"

    def spec(self, root):
        return ImageSpec(self.shape, self.classes)

    def load(self, root, split):
        known = ("extractor", "train", "test") if self.own else ("train", "test")
        if split not in known:
            raise ValueError(f"stripes has no split {split!r}")
        rng = torch.Generator().manual_seed(0 if self.repeated else known.index(split))
        labels = torch.arange(3 * self.each) % 3
        pixels = torch.randint(80, (len(labels), *self.shape), generator=rng)
        for kind in range(3):
            pixels[labels == kind, :, 2 * kind : 2 * kind + 2] += 150
        return Images(pixels.byte(), labels if self.classes else None)


def lesson(folder, dataset=None, seed=0, tell=lambda *_: None):
    return Lesson("stripes_cnn", dataset or Stripes(), Path(), folder, CPU, seed, "the command", tell)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the folder of a trained classifier of stripes, its card, and what was told meanwhile."""
    folder, told = tmp_path_factory.mktemp("extractors") / "deep", []
    card = SMALL.train(lesson(folder, tell=lambda *said: told.append(said)))
    return folder, card, told


def test_card_weights_and_markdown_are_written_and_agree(made):
    folder, card, told = made
    assert sorted(path.name for path in folder.iterdir()) == [f"stripes_cnn.{x}" for x in ("json", "md", "safetensors")]
    assert json.loads((folder / "stripes_cnn.json").read_text()) == card == read_card("stripes_cnn", folder)
    assert (folder / "stripes_cnn.md").read_text() == readable(card)
    assert card["test"]["accuracy"] == 1.0
    assert card["test"]["images"] == 60 == sum(map(sum, card["test"]["confusion"]))
    assert card["training"]["command"] == "the command"
    assert card["data"]["split_sha256"] == split_hash(Stripes().load(None, "train"))
    assert Plan.from_json(card["plan"]) == Plan((3, 8, 12), (6, 8), (1, 2), 5, 3)
    assert [round(share, 3) for share, _ in told] == [round(i / 27, 3) for i in range(1, 28)]  # 3 steps an epoch
    assert told[-1][1].startswith("epoch 9/9: loss ")


def test_a_long_training_tells_of_itself_a_hundred_times_and_at_each_epoch(tmp_path):
    told = []
    trainer = replace(SMALL, epochs=3, batch_size=1)
    trainer.train(lesson(tmp_path, Stripes(each=100), tell=lambda share, words: told.append((share, words))))
    assert len(told) == 102  # every 9 of 900 steps, and two ends of epochs between
    assert told[0][1].startswith("epoch 1/3: loss ")
    assert told[-1][0] == 1.0


def test_training_on_the_gans_split_is_said(made):
    _, card, _ = made
    assert card["data"]["split"] == "train"
    assert card["data"]["shared"] == {"train": 60, "test": 0}
    assert "stripes has no split 'extractor'" in card["notes"][0]
    assert card["notes"][1] == "60 of the 60 images that it was trained on are among those that GANs are trained on"


def test_a_split_of_its_own_is_preferred_and_shares_nothing(tmp_path):
    card = SMALL.train(lesson(tmp_path, Stripes(own=True)))
    assert (card["data"]["split"], card["data"]["shared"], card["notes"]) == ("extractor", {"train": 0, "test": 0}, [])


def test_the_same_seed_gives_the_same_bytes_and_leaves_the_random_state(made, tmp_path):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    again, other = (SMALL.train(lesson(tmp_path / str(seed), seed=seed)) for seed in (0, 1))
    assert again["sha256"] == made[1]["sha256"] != other["sha256"]
    replace(SMALL, threads=2, epochs=1).train(lesson(tmp_path / "two"))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_what_was_learned_from_does_not_judge():
    spoiled = Stripes(own=True, repeated=True)
    with pytest.raises(ValueError, match="no image in test that was not learned from"):
        gather(spoiled, Path(), ("test",))

    class Half(Stripes):
        def load(self, root, split):
            whole, other = Stripes(own=True).load(root, "test"), Stripes(own=True).load(root, "train")
            if split == "extractor":
                return Images(torch.cat([other.pixels, whole.pixels[:7]]), torch.cat([other.labels, whole.labels[:7]]))
            return whole if split == "test" else Stripes(own=True).load(root, split)

    found = gather(Half(own=True), Path(), ("test",))
    assert (len(found.unseen), found.left_out) == (53, 7)
    assert found.shared == {"train": 60, "test": 7}
    assert torch.equal(found.unseen.pixels, Half(own=True).load(None, "test").pixels[7:])


@pytest.mark.parametrize(
    ("dataset", "judged_on", "reason"),
    [
        (Stripes(classes=None), ("test",), "'stripes' has no labels"),
        (Stripes(classes=1), ("test",), "has only one"),
        (Stripes(classes=4), ("test",), "split 'train' of 'stripes' has 0 images of class 3; at least 2 of each class"),
        (Stripes(each=1), ("test",), "has 1 images of class 0"),
        (Stripes(classes=2), ("test",), "labels from 0 to 2, not 0 to 1"),
        (Stripes(), ("train",), "name splits other than 'train', which is learned from"),
        (Stripes(), (), "name splits other than 'train'"),
        (Stripes(), ("validation",), "has no split 'validation'"),
        (Mnist(), ("test",), "was looked for"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_a_sentence(dataset, judged_on, reason, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(ValueError, match=reason) as caught:
        replace(SMALL, judged_on=judged_on).train(replace(lesson(tmp_path / "x", dataset), root=tmp_path))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("stripes_cnn*"))


def test_points_are_refused(tmp_path):
    class Points(Stripes):
        def spec(self, root):
            return PointSpec((2,), classes=3)

    with pytest.raises(ValueError, match="learns from images, and 'stripes' holds points"):
        SMALL.train(lesson(tmp_path, Points()))


def test_a_diverged_training_leaves_nothing(tmp_path):
    with pytest.raises(ArithmeticError, match=r"the loss was (nan|inf) in epoch \d of 9; lower peak_lr"):
        replace(SMALL, peak_lr=1e15).train(lesson(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_classifier_that_learned_nothing_says_so(tmp_path):
    card = replace(SMALL, epochs=1, peak_lr=1e-12).train(lesson(tmp_path))
    assert card["test"]["accuracy"] < 0.7
    assert ("always naming the most frequent class" in str(card["notes"])) == (card["test"]["accuracy"] <= 1 / 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", 0), ("batch_size", 0), ("threads", 0), ("width", 0), ("channels", (4,)), ("channels", ()),
     ("strides", (0, 1, 1, 1, 1)), ("peak_lr", 0.0), ("weight_decay", -1.0), ("turn", 181.0), ("zoom", 1.0),
     ("shift", -0.1)],
)  # fmt: skip
def test_values_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=f"classifier needs .*{field}"):
        ClassifierTrainer(**{field: value})


def test_augmentation_changes_nothing_where_it_is_switched_off():
    x = torch.rand(4, 3, 8, 12) * 2 - 1
    assert torch.allclose(augment(SMALL, x, torch.Generator().manual_seed(1)), x, atol=1e-5)
    moved = augment(replace(SMALL, shift=0.5), x, torch.Generator().manual_seed(1))
    assert (moved == -1).any()
    assert moved.min() >= -1


def test_the_confusion_matrix_by_hand():
    model = Classifier(DigitsCnn.plan)
    model.head.weight.data.zero_()
    model.head.bias.data.copy_(torch.arange(10.0))
    images = Images(torch.zeros(3, 1, 16, 16).byte(), torch.tensor([9, 9, 3]))
    table = judge(model, DigitsCnn.plan, images, CPU)
    assert table.sum() == 3
    assert (table[9, 9], table[3, 9]) == (2, 1)


def test_preprocessing_by_hand():
    stored = torch.tensor([0, 255, 51, 204]).byte().view(1, 1, 2, 2)
    assert torch.allclose(preprocess(stored, (1, 2, 2)).flatten(), torch.tensor([-1, 1, -0.6, 0.6]))
    assert torch.allclose(preprocess(stored, (1, 1, 1)), torch.zeros(1, 1, 1, 1), atol=1e-6)
    assert torch.allclose(preprocess(stored, (1, 1, 2)).flatten(), torch.tensor([-0.8, 0.8]))
    wide = torch.arange(12).byte().view(1, 1, 2, 6)
    assert preprocess(wide, (1, 2, 4)).add(1).mul(127.5).round().flatten().tolist() == [1, 2, 3, 4, 7, 8, 9, 10]


# The embedded ones


@pytest.mark.parametrize("extractor", [DigitsCnn, MnistCnn])
def test_the_cards_of_the_embedded_ones_are_of_this_trainer(extractor):
    card = read_card(extractor.name)
    assert (FOLDER / f"{extractor.name}.md").read_text() == readable(card)
    assert Plan.from_json(card["plan"]) == extractor.plan
    assert card["data"]["shared"] == {"train": 0, "test": 0}
    words = shlex.split(card["training"]["command"])
    assert words[:3] == ["ganbench", "extractor", "train"]
    assert words[words.index("--dataset") + 1] == card["data"]["dataset"]
    trainer = ClassifierTrainer(**parse_term(words[words.index("--trainer") + 1]).parameters)
    assert json.loads(json.dumps(vars(trainer))) == card["trainer"]["parameters"]


def test_the_digits_that_the_card_names_are_those_of_the_split():
    assert read_card("digits_cnn")["data"]["split_sha256"] == split_hash(Digits().load(Path(), "extractor"))


@pytest.mark.mnist
@pytest.mark.skipif(DATA is None, reason="GANBENCH_DATA names no folder with the MNIST files")
def test_the_images_that_the_card_names_are_those_of_the_split():
    assert read_card("mnist_cnn")["data"]["split_sha256"] == split_hash(Mnist().load(Path(DATA), "extractor"))


@pytest.mark.parametrize("extractor", [DigitsCnn(), MnistCnn()])
def test_whole_numbers_and_equal_floats_have_the_same_features(extractor):
    assert extractor.continuous
    network, rng = extractor.load(CPU), torch.Generator().manual_seed(0)
    stored = torch.randint(256, (9, *extractor.plan.shape), generator=rng, dtype=torch.uint8)
    assert torch.equal(network(stored).features, network(stored.float()).features)
    moved = network((stored.float() + 0.3).clamp(0, 255)).features
    assert 0 < (moved - network(stored).features).abs().max() < 1


# What the loader refuses


class Copied(ClassifierExtractor):
    name, plan = "digits_cnn", DigitsCnn.plan


def copied(folder, plan=DigitsCnn.plan):
    for suffix in ("json", "safetensors"):
        (folder / f"digits_cnn.{suffix}").write_bytes((FOLDER / f"digits_cnn.{suffix}").read_bytes())
    return type("Here", (Copied,), {"folder": folder, "plan": plan})()


def test_weights_that_are_not_those_of_the_card_are_refused(tmp_path):
    extractor, path = copied(tmp_path), tmp_path / "digits_cnn.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"has SHA-256 .*, its card says .*; reinstall"):
        extractor.load(CPU)
    path.unlink()
    assert "safetensors is missing; reinstall" in extractor.available()
    with pytest.raises(ValueError, match="safetensors is missing; reinstall"):
        extractor.load(CPU)


def test_an_unreadable_card_and_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match="another shape"):
        copied(tmp_path, MnistCnn.plan).load(CPU)
    for text in ("{", "[]"):
        (tmp_path / "digits_cnn.json").write_text(text)
        with pytest.raises(ValueError, match=r"its card .* (cannot be read|is no JSON object)"):
            Copied.load(type("Here", (Copied,), {"folder": tmp_path})(), CPU)


# What is offered of a folder


@pytest.fixture
def kept(made, tmp_path, monkeypatch):
    """Copy the trained classifier of stripes into a folder that ganbench looks into."""
    for path in made[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("GANBENCH_EXTRACTORS", str(tmp_path))
    return tmp_path


def test_a_trained_classifier_is_an_extractor(kept, made):
    entry = load_catalog().find("extractor", "stripes_cnn")
    extractor = entry.component()
    assert extractor.available() is None
    assert extractor.domains == {"striped"}
    assert extractor.accepts(ImageSpec((3, 8, 12))) is None
    assert extractor.accepts(ImageSpec((1, 8, 12))) == "stripes_cnn takes three channels of 8x12, not 1x8x12"
    assert extractor.accepts(ImageSpec((3, 16, 24))) == "stripes_cnn takes three channels of 8x12, not 3x16x24"
    assert "right on 100.0% of unseen images" in entry.summary
    network, images = extractor.load(CPU), Stripes().load(None, "train")
    out = network(images.pixels)
    assert (out.features.shape, out.logits.shape) == ((60, 5), (60, 3))
    assert torch.equal(out.logits.argmax(1), images.labels)
    assert out.features.mean(0).abs().max() < 1e-4
    assert (out.features.std(0) - 1).abs().max() < 1e-4
    assert torch.equal(network(images.pixels.float()).features, out.features)
    assert network.provenance["weights_sha256"] == made[1]["sha256"]
    assert network.provenance["preprocessing"]["resize"] == "none"
    assert not network.canonical


def test_no_folder_and_an_empty_one_offer_nothing(monkeypatch, tmp_path):
    for folder in (tmp_path / "absent", tmp_path, Path(__file__)):
        monkeypatch.setenv("GANBENCH_EXTRACTORS", str(folder))
        assert trained.extractors() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "is no JSON object"),
        ("{}", "it lacks 'data'"),
        ({"name": "another"}, "it is the card of 'another'"),
        ({"plan": {}}, "it lacks 'shape'"),
        ({"plan": {"shape": [0, 1], "channels": [1], "strides": [1], "width": 1, "classes": 2}}, "positive whole"),
        ({"plan": {"shape": [1, 1, 1], "channels": [1], "strides": [], "width": 1, "classes": 2}}, "a stride for each"),
        ({"plan": [1]}, "cannot be used"),
        ({"test": {"accuracy": None}}, "cannot be used"),
        ({"data": 3}, "cannot be used"),
    ],
)
def test_a_broken_card_is_offered_and_says_why(kept, change, reason):
    path = kept / "stripes_cnn.json"
    text = change if isinstance(change, str) else json.dumps({**json.loads(path.read_text()), **change})
    path.write_text(text)
    catalog = load_catalog()
    assert not [fault for fault in catalog.faults if "trained" in fault.origin]
    extractor = catalog.find("extractor", "stripes_cnn").component()
    assert reason in extractor.available()
    assert str(path) in extractor.available()
    assert "train it again with 'ganbench extractor train ... --force'" in extractor.available()
    assert extractor.accepts(ImageSpec((3, 8, 12))) == extractor.available()
    with pytest.raises(ValueError, match="its card"):
        extractor.load(CPU)


def test_weights_that_are_gone_or_changed_say_what_to_do(kept):
    extractor, path = load_catalog().find("extractor", "stripes_cnn").component(), kept / "stripes_cnn.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"has SHA-256 .*; train it again with"):
        extractor.load(CPU)
    path.unlink()
    assert "safetensors is missing; train it again with" in extractor.available()


def test_strange_files_and_cards_of_other_trainers_are_left_to_others(kept):
    (kept / "other.json").write_text('{"trainer": {"name": "theirs"}}')
    (kept / "My Notes.json").write_text("{}")
    (kept / "readme.txt").write_text("hello")
    assert [component.name for component in trained.extractors()] == ["stripes_cnn"]
