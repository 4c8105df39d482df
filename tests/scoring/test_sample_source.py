"""Sample sources: the uint8 rule, the same samples for any batch size, no trace in global random state."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganbench import ImageSpec, Latent, PointSpec, Sample
from ganbench.scoring.sample import GeneratorSource, TensorSource, generated_rule, permutation

CPU = torch.device("cpu")
IMAGES = ImageSpec((1, 4, 4), classes=3)
LATENT = Latent(noise=5, categorical=(3,), continuous=1)


class Drawing(nn.Module):
    """Draws images from latents, labels and, like a StyleGAN, noise of its own."""

    def __init__(self, noisy: bool = True, wrapped: bool = False) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.linear = nn.Linear(LATENT.size, 16)
        self.noisy, self.wrapped, self.sizes, self.labels = noisy, wrapped, [], []

    def forward(self, z, labels=None):
        self.sizes.append(len(z))
        self.labels.append(labels)
        x = self.linear(z) + (0 if labels is None else labels[:, None].float())
        x = x + (torch.randn_like(x) if self.noisy else 0)
        images = torch.tanh(x).view(-1, 1, 4, 4)
        return Sample(images) if self.wrapped else images


class Plane(nn.Linear):
    """Draws points."""

    def __init__(self) -> None:
        super().__init__(LATENT.size, 2)

    def forward(self, z, labels=None):
        return super().forward(z)


def source(generator: nn.Module | None = None, labels=None, seed: int = 0, data=IMAGES) -> GeneratorSource:
    return GeneratorSource((generator or Drawing()).eval(), LATENT, data, labels, seed, CPU)


def drawn(made, n: int, batch_size: int) -> torch.Tensor:
    return torch.cat(list(made.batches(n, batch_size)))


def test_the_uint8_rule():
    exact = [-1.0, 1.0, -3.0, 7.0, 0.0, -1 + 2 * 0.5 / 255, -1 + 2 * 0.49 / 255, 1 - 2 * 0.51 / 255]
    assert IMAGES.encode(torch.tensor(exact)).tolist() == [0, 255, 0, 255, 128, 1, 0, 254]
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(IMAGES.encode(IMAGES.decode(levels)), levels)


@pytest.mark.parametrize("n", [1, 64, 300, 513])
def test_any_batch_size_gives_the_same_samples(n):
    labels = torch.tensor([0, 0, 1, 2])
    whole = drawn(source(labels=labels), n, n)
    assert whole.dtype == torch.uint8
    assert whole.shape == (n, 1, 4, 4)
    for batch_size in (1, 7, 64, 1000):
        batches = list(source(labels=labels).batches(n, batch_size))
        assert {len(batch) for batch in batches[:-1]} <= {batch_size}
        assert torch.equal(torch.cat(batches), whole)


def test_fewer_samples_are_the_first_of_more():
    assert torch.equal(drawn(source(), 70, 10), drawn(source(), 500, 64)[:70])


def test_another_seed_gives_other_samples_and_no_sample_repeats():
    first = drawn(source(Drawing(noisy=False)), 600, 100)
    assert not torch.equal(first, drawn(source(Drawing(noisy=False), seed=1), 600, 100))
    assert len(first.flatten(1).unique(dim=0)) == 600


def test_global_random_state_is_neither_used_nor_changed():
    generator = Drawing()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = drawn(source(generator), 100, 30)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(drawn(source(generator), 100, 30), first)


def test_global_random_state_is_the_callers_between_batches():
    made = source()
    torch.manual_seed(1)
    expected = torch.rand(3).tolist()
    torch.manual_seed(1)
    assert [float(torch.rand(())) for _ in made.batches(192, 64)] == expected


def test_labels_follow_the_training_labels():
    generator = Drawing()
    labels = torch.tensor([0] * 3 + [2])
    drawn(source(generator, labels=labels), 4096, 512)
    given = torch.cat(generator.labels)
    assert given.dtype == torch.int64
    assert set(given.tolist()) == {0, 2}
    assert float((given == 0).double().mean()) == pytest.approx(0.75, abs=0.03)
    drawn(source(unconditional := Drawing()), 10, 5)
    assert unconditional.labels == [None]


def test_a_sample_with_style_and_points():
    wrapped, bare = Drawing(wrapped=True), Drawing()
    assert torch.equal(drawn(source(wrapped), 80, 16), drawn(source(bare), 80, 16))
    points = source(Plane(), data=PointSpec((2,)))
    assert drawn(points, 30, 8).dtype == torch.float32
    assert drawn(points, 30, 8).shape == (30, 2)


def test_no_gradient_is_kept():
    points = source(Plane(), data=PointSpec((2,)))
    assert not drawn(points, 4, 2).requires_grad


class Broken(Drawing):
    def forward(self, z, labels=None):
        images = super().forward(z, labels)
        images[3, 0, 1, 1] = torch.nan
        return images


def test_nan_is_refused_before_uint8_would_hide_it():
    with pytest.raises(ValueError, match="1 samples with NaN or infinity among samples 0 to 63"):
        drawn(source(Broken()), 10, 5)


def test_a_generator_in_training_mode_is_refused():
    with pytest.raises(ValueError, match="training mode"):
        GeneratorSource(Drawing(), LATENT, IMAGES, None, 0, CPU)


def test_a_set_is_given_in_a_fixed_random_order():
    stored = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1)
    given = drawn(TensorSource(stored), 40, 7)
    assert torch.equal(given, stored[permutation(40, 0)])
    assert torch.equal(given[:15], drawn(TensorSource(stored), 15, 4))
    assert not torch.equal(given, stored)
    assert not torch.equal(given, drawn(TensorSource(stored, seed=1), 40, 7))
    assert torch.equal(drawn(TensorSource(stored, skip=15), 25, 8), given[15:])
    assert TensorSource(stored, skip=15).count == 25
    assert TensorSource(stored, details={"a": 1}).provenance == {"a": 1}


def test_the_rule_of_generated_sets_is_json_and_names_no_cell():
    assert generated_rule(3)["seed"] == 3
    assert generated_rule(3) == generated_rule(3)
    assert generated_rule(3) != generated_rule(4)
    assert source().count is None


class OnDisk:
    """Rows that are read as they are asked for, one of which may be broken."""

    def __init__(self, stored: torch.Tensor, broken: int = -1) -> None:
        self.stored, self.broken, self.reads = stored, broken, 0

    def __len__(self):
        return len(self.stored)

    def __getitem__(self, rows):
        if self.broken in rows.tolist():
            raise ValueError(f"row {self.broken} is broken")
        self.reads += 1
        return self.stored[rows]


def test_rows_on_disk_are_read_one_batch_ahead_and_no_further():
    stored = torch.randint(256, (50, 1, 4, 4), dtype=torch.uint8)
    rows = OnDisk(stored)
    batches = TensorSource(rows, seed=3).batches(40, 8)
    first = next(batches)
    assert rows.reads <= 2
    assert torch.equal(torch.cat([first, *batches]), torch.cat(list(TensorSource(stored, seed=3).batches(40, 8))))
    assert rows.reads == 5
    assert list(TensorSource(rows).batches(0, 8)) == []


def test_a_row_that_cannot_be_read_is_said_where_it_is_wanted():
    rows = OnDisk(torch.zeros(30, 1, 4, 4, dtype=torch.uint8), broken=int(permutation(30, 0)[20]))
    batches = TensorSource(rows).batches(30, 10)
    assert len(next(batches)) == 10
    assert len(next(batches)) == 10
    with pytest.raises(ValueError, match="is broken"):
        next(batches)
