"""The values that pass between components: encoding, packing, latents, and what they refuse."""

from __future__ import annotations

import pytest
import torch

from ganbench import ImageSpec, Latent, PointSpec


def test_stored_pixels_are_clamped_and_rounded_half_up():
    spec = ImageSpec((1, 1, 6))
    images = torch.tensor([-1.0, 1.0, -7.0, 7.0, 0.0, -1 + 1.6 / 127.5]).view(1, 1, 1, 6)
    assert spec.encode(images).flatten().tolist() == [0, 255, 0, 255, 128, 2]


def test_every_pixel_value_survives_decoding_and_encoding():
    spec = ImageSpec((1, 16, 16))
    stored = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    decoded = spec.decode(stored)
    assert (decoded.min(), decoded.max()) == (-1, 1)
    assert torch.equal(spec.encode(decoded), stored)


def test_packing_multiplies_axis_0():
    assert ImageSpec((3, 8, 8), 10).packed(2) == ImageSpec((6, 8, 8), 10)
    assert PointSpec((2,)).packed(4) == PointSpec((8,))


@pytest.mark.parametrize("shape", [2, (2, 2), (3, 8), [3, 8, 8], (3, 0, 8), (3.0, 8, 8)])
def test_a_shape_that_is_none_is_refused(shape):
    with pytest.raises(ValueError, match="positive integers"):
        ImageSpec(shape)
    with pytest.raises(ValueError, match="positive integers"):
        PointSpec(shape)


def test_latents_are_laid_out_as_noise_codes_and_continuous():
    latent = Latent(5, categorical=(3, 4), continuous=2, distribution="uniform")
    z = latent.draw(200, torch.Generator().manual_seed(0))
    assert z.shape == (200, latent.size) == (200, 14)
    assert z.abs().max() <= 1
    first, second, continuous = latent.codes(z)
    assert torch.equal(torch.nn.functional.one_hot(first, 3).float(), z[:, 5:8])
    assert set(second.tolist()) == {0, 1, 2, 3}
    assert torch.equal(continuous, z[:, 12:])


def test_the_same_seed_draws_the_same_latents():
    draws = [Latent(3).draw(4, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
