"""Scoring of inputs: generators, sets on disk, the training split, protocols; nothing is read twice or as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from ganbench import Images, ImageSpec
from ganbench.errors import DatasetError, GanbenchError
from ganbench.execution.inputs import Input, collected, open_batches, open_dataset, training_split
from ganbench.execution.naming import open_text
from ganbench.execution.scoring import (
    GIVEN,
    Wanted,
    Watched,
    default_extractor,
    find_extractor,
    find_metrics,
    score,
    source_of,
    subject_of,
)
from ganbench.scoring.reference import content_hash
from ganbench.scoring.sample import GeneratorSource
from ganbench.stored import Held
from ganbench.values import Latent, Stream

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
CPU = torch.device("cpu")
PIXELS = torch.randint(0, 256, (40, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def everything(found: Input) -> torch.Tensor:
    return found.stored[torch.arange(len(found.stored))]


# Generators


def generator(scale: float = 1.0) -> Input:
    class Net(torch.nn.Module):
        def forward(self, z, labels=None):
            return (z * scale).view(-1, 1, 4, 4).tanh()

    source = GeneratorSource(Net().eval(), Latent(16), ImageSpec((1, 4, 4)), None, 0, CPU, {"seed": 0})
    return Input("run x", source.data, "blobs", "pixels", {"run": "x"}, generator=source)


def test_a_generator_has_no_end_until_it_is_collected():
    told = []
    found = generator()
    assert (found.count, found.content) == (None, None)
    kept = collected(found, 300, lambda *heard: told.append(heard))
    assert kept.count == 300
    assert told[-1] == ("samples of run x", 300, 300)
    assert torch.equal(everything(kept), torch.cat(list(found.generator.batches(300, 128))))
    assert collected(kept, 10, lambda *_: None) is kept
    with pytest.raises(DatasetError, match=r"run x: the generator gave .* with NaN"):
        collected(generator(float("nan")), 10, lambda *_: None)


def test_a_watched_generator_gives_what_it_gave_before():
    told = []
    found = generator()
    source = source_of(found, 0, 300, lambda *heard: told.append(heard))
    assert isinstance(source, GeneratorSource)  # so that metrics may move through its latent space
    assert torch.equal(torch.cat(list(source.batches(300, 128))), torch.cat(list(found.generator.batches(300, 64))))
    assert told == [("generated", 128, 300), ("generated", 256, 300), ("generated", 300, 300)]


# What scoring makes of inputs


def test_reading_is_heard_of_pass_by_pass():
    told = []
    rows = Watched(Held(PIXELS, ImageSpec((1, 4, 4))), "reference", lambda *heard: told.append(heard[1:]))
    for _ in range(2):
        for part in torch.arange(40).split(16):
            rows[part]
    assert told == [(16, 40), (32, 40), (40, 40)] * 2
    assert rows.fingerprint == content_hash(PIXELS)


class Guarded:
    """Rows that notice how they are read."""

    def __init__(self, broken: int | None = None) -> None:
        self.most, self.reads, self.broken, self.hashed = 0, 0, broken, 0

    def __len__(self):
        return 400

    def __getitem__(self, rows):
        if self.broken in rows.tolist():
            raise ValueError(f"image {self.broken} is broken")
        self.most, self.reads = max(self.most, len(rows)), self.reads + len(rows)
        return torch.stack([PIXELS[row % 40] for row in rows.tolist()])

    @property
    def fingerprint(self):
        self.hashed += 1
        return "hash of it"


def guarded(name: str, rows: Guarded) -> Input:
    return Input(name, ImageSpec((1, 4, 4)), "blobs", "pixels", {"dataset": name}, rows)


def test_a_set_on_disk_is_never_read_as_a_whole(place):
    made, real = Guarded(), Guarded()
    wanted = Wanted(find_metrics(place.catalog, "fd,precision"), batch_size=32)
    first = score(guarded("made", made), guarded("real", real), wanted, place)
    assert (made.most, real.most) == (32, 32)
    assert (made.reads, real.reads) == (400, 800)  # the reference once, and its halves for the floor
    assert (made.hashed, real.hashed) == (1, 1)
    again = score(guarded("made", made), guarded("real", real), wanted, place)
    assert real.reads == 800  # kept
    assert {name: again[name].value for name in again} == {name: first[name].value for name in first}


def test_an_image_that_cannot_be_read_stops_the_score_on_either_side(place):
    wanted = Wanted(find_metrics(place.catalog, "fd"))
    for made, real in ((Guarded(7), Guarded()), (Guarded(), Guarded(7))):
        with pytest.raises(DatasetError, match=r"^image 7 is broken$"):
            score(guarded("made", made), guarded("real", real), wanted, place)


@dataclass(frozen=True)
class Split:
    """A dataset with or without a training split, streamed or not."""

    trains: bool = True

    name: ClassVar[str] = "split"
    extractor: ClassVar[str] = "pixels"
    domain: ClassVar[str] = "blobs"

    def spec(self, root):
        return ImageSpec((1, 4, 4))

    def load(self, root, split):
        if split == "train" and not self.trains:
            raise ValueError("there is none")
        return Images(PIXELS[:30] if split == "train" else PIXELS[30:])


class Streamed(Split):
    def stream(self, root, split):
        return Stream(Held(self.load(root, split).pixels, self.spec(root)))


def test_the_training_split_is_given_where_it_is_cheap_or_needed(place):
    def of(dataset, cheap, split="test"):
        return training_split(open_dataset(dataset, split, place, "mine"), place.data_root, cheap)

    assert len(of(Split(), True)) == len(of(Split(), False)) == 30
    assert len(of(Streamed(), False)) == 30
    assert of(Streamed(), True) is None
    assert of(Split(trains=False), True) is None
    with pytest.raises(DatasetError, match="dataset 'mine': there is none"):
        of(Split(trains=False), False)
    assert len(of(Split(), True, "train")) == 30
    assert of(Split(), False, "all") is None
    subject = subject_of(
        open_dataset(Streamed(), "test", place, "mine"), place.data_root, frozenset({"train_features"})
    )
    assert len(subject.train) == 30


def test_the_truth_of_a_dataset_is_passed_on(place):
    class Known(Split):
        def truth(self, root):
            return "what is known"

    assert subject_of(open_dataset(Known(), "test", place, "mine"), place.data_root).truth == "what is known"
    assert subject_of(open_dataset(Split(), "test", place, "mine"), place.data_root).truth is None


def test_the_content_is_in_the_protocol_of_the_reference_alone(place):
    wanted = Wanted(find_metrics(place.catalog, "fd"))
    reference = open_text("blobs", place)
    one = score(open_text("blobs:train", place), reference, wanted, place)
    other = score(open_batches([PIXELS, PIXELS, PIXELS[:16]], place, "mine"), reference, wanted, place)
    protocol = one.protocols["fd/pixels"]["protocol"]
    assert protocol["generated"] == {**GIVEN, "n": 96}
    assert protocol["reference"]["content"] == reference.content
    assert one["fd/pixels"].protocol == other["fd/pixels"].protocol
    assert one["fd/pixels"].value != other["fd/pixels"].value
    assert one.generated.content != other.generated.content


def test_extractors_by_name_and_by_default(place):
    assert find_extractor(place.catalog, "pixels").name == "pixels"
    assert default_extractor(place.catalog, open_text("blobs", place)).name == "pixels"
    assert find_extractor(place.catalog, "inception_v3", TOYS).weights == str(TOYS)
    with pytest.raises(GanbenchError, match="mine names no extractor of its own; say one with --extractor"):
        default_extractor(place.catalog, open_batches([PIXELS], place, "mine"))


def test_metrics_by_name_and_by_default(place):
    assert [name for name, _ in find_metrics(place.catalog, None)][:3] == ["fd", "cs", "kd"]
    assert [name for name, _ in find_metrics(place.catalog, ["fd, kd(subsets=3)", "cs"])] == [
        "fd",
        "kd(subsets=3)",
        "cs",
    ]
