"""Sets of samples by name: what a text means, how each kind is opened, and that nothing is read twice or as a whole."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from ganbench import Images, ImageSpec
from ganbench.catalog import Catalog, Entry, load_catalog
from ganbench.errors import DatasetError, GanbenchError
from ganbench.execution.batches import Spool, call_function, collect
from ganbench.execution.inputs import (
    Input,
    Place,
    collected,
    open_batches,
    open_dataset,
    open_path,
    training_split,
)
from ganbench.execution.naming import open_text, readings, term_of
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


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    return Place(load_catalog([TOYS]), tmp_path / "data", Path("results"))


def run_called(id: str, suite: str = "x") -> Path:
    folder = Path("results") / suite / "runs" / id
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"config": {}}))
    return folder


def everything(found: Input) -> torch.Tensor:
    return found.stored[torch.arange(len(found.stored))]


# What a text means


def test_each_kind_of_text_means_one_thing(place):
    Path("gen").mkdir()
    np.save("x.npy", PIXELS)
    np.savez("x.npz", images=PIXELS)
    run_called("abc123")
    for text, what in (
        ("gen", "the path"),
        ("./gen", "the path"),
        ("x.npy", "the path"),
        ("x.npz:images", "the path"),
        (str(Path("gen").resolve()), "the path"),
        ("results/x/runs/abc123", "the path"),
        ("blobs", "a dataset"),
        ("blobs:train", "a dataset"),
        ("blobs(n=8)", "a dataset"),
        ("image_folder(path='a/b'):all", "a dataset"),
        ("abc", "a run"),
        ("a.py:f", "a function"),
        ("some/where/a.py:f", "a function"),
    ):
        assert [reading.what for reading in readings(text, place)] == [what], text


def test_what_may_be_several_things_is_listed_with_spellings_that_are_clear(place):
    Path("blobs").mkdir()
    run_called("blobs1")
    with pytest.raises(GanbenchError) as caught:
        open_text("blobs", place)
    assert str(caught.value) == (
        "'blobs' may be the path (write ./blobs) or a dataset (write blobs:test) or a run (write results/x/runs/blobs1)"
    )
    for reading in readings("blobs", place):
        assert [other.what for other in readings(reading.spelling, place)] in ([reading.what], ["the path"])


def test_a_run_in_two_results_folders_is_one_run_and_two_runs_are_two(place):
    for suite in ("x", "y"):
        run_called("abc1", suite)
    assert len(readings("abc", place)) == 1
    run_called("abc2")
    with pytest.raises(GanbenchError, match=r"may be a run \(write .*abc1\) or a run \(write .*abc2\)"):
        open_text("abc", place)


def test_a_text_of_any_length_is_at_worst_unknown(place):
    for text in ("x" * 5000, "", ":", "a b c", "~nobody-is-called-this/x", "(", "digits("):
        with pytest.raises(GanbenchError):
            open_text(text, place)


def test_a_term_leads_back_to_what_it_describes(place):
    np.savez("it's.npz", images=PIXELS.float() / 127.5 - 1)
    opened = open_path("it's.npz:images", replace(place, value_range=(-1.0, 1.0)))
    assert opened.dataset.value_range == (-1.0, 1.0)
    again = open_text(term_of(opened.dataset, "all"), place)
    assert again.dataset == opened.dataset
    assert again.content == opened.content == content_hash(PIXELS)


# Datasets and paths


def test_a_dataset_is_its_test_split_unless_one_is_named(place):
    test, train = open_text("blobs(n=8)", place), open_text("blobs(n=8):train", place)
    blobs = test.dataset
    assert torch.equal(everything(test), blobs.load(place.data_root, "test").pixels)
    assert torch.equal(everything(train), blobs.load(place.data_root, "train").pixels)
    assert test.about == {"dataset": "blobs", "parameters": {"n": 8}, "split": "test"}
    assert (test.domain, test.extractor, test.count) == ("blobs", "pixels", 8)


def test_the_same_samples_in_a_folder_and_in_an_array_have_one_content(place):
    Path("gen").mkdir()
    for index, image in enumerate(PIXELS):
        Image.fromarray(image[0].numpy()).save(f"gen/{index:02}.png")
    np.save("gen.npy", PIXELS)
    first, second = open_text("gen", place), open_text("gen.npy", place)
    assert first.content == second.content == content_hash(PIXELS)
    assert first.about == {"dataset": "image_folder", "parameters": {"size": None, "channels": 1}, "split": "all"}


@dataclass(frozen=True)
class Strange:
    """A dataset of a stranger that says yes to every path, and breaks."""

    error: ClassVar[Exception] = RuntimeError("this was not foreseen")
    name: ClassVar[str] = "strange"
    paper: ClassVar[str] = "none"
    extractor: ClassVar[str] = "pixels"
    domain: ClassVar[str] = "strange"

    @classmethod
    def opening(cls, path):
        """Open whatever there is."""
        return cls()

    def spec(self, root):
        return ImageSpec((1, 4, 4))

    def load(self, root, split):
        raise self.error


def with_strange(place: Place) -> Place:
    entries = {**place.catalog.entries, ("dataset", "strange"): Entry("dataset", "strange", Strange, "here")}
    return replace(place, catalog=Catalog(entries))


def test_what_a_stranger_raises_is_a_sentence_that_names_the_path(place):
    Path("x.foo").write_text("")
    with pytest.raises(DatasetError, match=r"^x.foo: raised RuntimeError: this was not foreseen$"):
        open_text("x.foo", with_strange(place))


def test_a_path_that_two_datasets_would_open_is_refused(place):
    np.save("x.npy", PIXELS)
    with pytest.raises(DatasetError, match=r"x.npy can be opened by array_file and strange; name one as a dataset"):
        open_text("x.npy", with_strange(place))


def test_a_config_among_images_makes_no_run(place):
    Path("gen").mkdir()
    Image.fromarray(PIXELS[0, 0].numpy()).save("gen/a.png")
    for content in ("{}", '{"scheduler": "ddim"}', "no json"):
        Path("gen/config.json").write_text(content)
        assert open_text("gen", place).count == 1


def test_a_dataset_of_a_plugin_that_is_not_loaded_can_be_opened(place, toys):
    found = open_dataset(toys.Blobs(n=6), "test", replace(place, catalog=Catalog()), "mine")
    assert found.about["parameters"] == {"n": "6"}


# Functions and batches


def test_a_function_leaves_the_interpreter_as_it_was(place, capsys):
    Path("neighbour.py").write_text("SIZE = 4\n")
    Path("f.py").write_text(
        "import torch\nfrom neighbour import SIZE\n\ndef f():\n    print('heard')\n    import neighbour\n"
        "    for _ in range(9):\n        yield torch.rand(5, 1, SIZE, SIZE) * 2 - 1\n"
    )
    paths, before = list(sys.path), torch.get_rng_state()
    first = open_text("f.py:f", replace(place, samples=12))
    assert sys.path == paths
    assert torch.equal(torch.get_rng_state(), before)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "heard\n")
    assert first.count == 12
    torch.rand(3)
    assert open_text("f.py:f", replace(place, samples=12)).content == first.content
    assert open_text("f.py:f", replace(place, samples=12, seed=1)).content != first.content


def test_a_function_that_is_stopped_early_is_closed(place):
    Path("f.py").write_text(
        "import numpy as np\nfrom pathlib import Path\n\ndef f():\n    try:\n        while True:\n"
        "            yield np.zeros((2, 1, 4, 4), np.uint8)\n    finally:\n        Path('closed').touch()\n"
    )
    open_text("f.py:f", replace(place, samples=3))
    assert Path("closed").exists()


def test_broken_files_are_named(place):
    for text, message in (
        ("def f(:", "f.py:f raised SyntaxError"),
        ("1 / 0", "f.py:f raised ZeroDivisionError: division by zero"),
        ("import nothing_of_this_name", "f.py:f raised ModuleNotFoundError"),
    ):
        Path("f.py").write_text(text)
        with pytest.raises(DatasetError, match=message):
            list(call_function(Path("f.py"), "f"))


def test_batches_are_collected_in_order_until_there_are_enough():
    told = []
    rows, form = collect(iter([PIXELS[:7], PIXELS[7:9].numpy(), PIXELS[9:]]), "mine", 20, tell=told.append)
    assert form.data == ImageSpec((1, 4, 4))
    assert told == [7, 9, 20]
    assert torch.equal(rows[torch.arange(20)], PIXELS[:20])
    assert torch.equal(rows[torch.tensor([19, 3])], PIXELS[[19, 3]])
    assert rows.fingerprint == content_hash(PIXELS[:20])


def test_what_was_spooled_outlasts_its_file_and_leaves_none(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Spool() as spool:
        spool.add(PIXELS)
        rows = spool.rows(ImageSpec((1, 4, 4)))
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(rows[torch.arange(40)], PIXELS)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([PIXELS, "word"], "batch 2 of mine is str"),
        ([{"images": PIXELS}], "batch 1 of mine is dict"),
        ([(PIXELS, None)], "batch 1 of mine is tuple"),
        ([np.array(["a"])], "batch 1 of mine is an array of <U1"),
        ([PIXELS[0, 0, 0]], r"batch 1 of mine has shape \(4,\)"),
        ([PIXELS.long()], "batch 1 of mine holds int64"),
        (
            [PIXELS, PIXELS.float() / 255 - 1],
            r"batch 2 of mine has floats of shape \(N, 1, 4, 4\), the first one uint8",
        ),
        ([PIXELS.float() / 255], "mine holds floats of which none is negative"),
        ([PIXELS[:0]], "mine gave no samples"),
        ([], "mine gave no samples"),
    ],
)
def test_what_is_no_batch_is_refused(batches, message, place):
    with pytest.raises(DatasetError, match=message):
        open_batches(batches, place, "mine")


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
