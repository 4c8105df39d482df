"""The Inception network of FID: torch-fidelity's features, faster, and never taken for what it is not."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from pathlib import Path

import pytest
import torch

from ganbench import ExtractorUnavailable
from ganbench_zoo import inception
from ganbench_zoo.extractors.inception_v3 import InceptionV3
from ganbench_zoo.inception import RELEASE, SHA256, Convolution
from ganbench_zoo.pixels import exact_float32, resized

CPU = torch.device("cpu")


def images(*shape: int) -> torch.Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network(inception_weights):
    return InceptionV3(weights=inception_weights).load(CPU)


@pytest.fixture(scope="module")
def theirs(inception_weights):
    """Return torch-fidelity's network with the same weights: uint8 (N, 3, H, W) to features and logits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing its vision stack may warn of what its dependencies deprecate
        from torch_fidelity.utils import create_feature_extractor
    return create_feature_extractor(
        inception.NETWORK,
        list(inception.LAYERS),
        cuda=False,
        verbose=False,
        feature_extractor_weights_path=inception_weights,
    )


@pytest.fixture(scope="module")
def compared(network, theirs):
    """Return our answer and theirs for the same six images."""
    pixels = images(6, 3, 40, 32)
    with torch.no_grad():
        return network(pixels), theirs(pixels)


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return the largest relative distance between two rows of equal number."""
    return float(((found - wanted).norm(dim=1) / wanted.norm(dim=1)).max())


def test_features_and_logits_are_torch_fidelitys(compared):
    ours, (features, logits) = compared
    assert ours.features.shape == (6, 2048)
    assert ours.logits.shape == (6, 1008)
    assert ours.features.dtype == ours.logits.dtype == torch.float32
    assert features.std(0).max() > 0.05  # images differ in them
    assert distance(ours.features, features) < 1e-4
    assert distance(ours.logits, logits) < 1e-4


def test_logits_have_no_bias(network, inception_weights, compared):
    state = torch.load(inception_weights, weights_only=True)
    assert torch.allclose(compared[0].logits, compared[0].features @ state["fc.weight"].T, rtol=1e-4, atol=1e-3)
    assert state["fc.bias"].abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 48), (3, 400, 310), (3, 299, 299), (3, 1, 1)])
def test_pixels_are_resized_bit_for_bit_as_torch_fidelity_does(shape):
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x as interpolate

    pixels = images(2, *shape)
    wanted = interpolate(pixels.float(), size=(299, 299), align_corners=False)
    assert torch.equal(resized(pixels, 299), wanted)


def test_one_channel_is_repeated_and_any_batch_gives_the_same(network):
    grey = images(3, 1, 28, 28)
    found = network(grey)
    assert torch.equal(found.features, network(grey.repeat(1, 3, 1, 1)).features)
    assert distance(network(grey[:1]).features, found.features[:1]) < 1e-5
    assert "repeated to three" in network.provenance["preprocessing"]["input"]


def test_images_that_were_not_rounded_are_taken(network):
    pixels = images(2, 3, 32, 32)
    found = network(pixels).features
    assert InceptionV3.continuous
    assert torch.equal(network(pixels.float()).features, found)
    assert torch.equal(network(pixels.double()).features, found)
    assert 0 < distance(network(pixels.float() + 0.25).features, found) < 0.1
    for refused in (pixels.short(), pixels[0], torch.zeros(4, 2)):
        with pytest.raises(ValueError, match=r"images must be \(N, C, H, W\), uint8 or floats"):
            network(refused)


def test_fused_kernels_change_nothing_and_may_be_missing(network, inception_weights, compared, monkeypatch):
    fused = [module.packed is not None for module in network.module.modules() if isinstance(module, Convolution)]
    assert len(fused) == 94
    assert all(fused) or not torch.backends.mkldnn.is_available()
    monkeypatch.setattr(inception, "_fused", lambda x, *given: x.no_such_kernel)
    plain = InceptionV3(weights=inception_weights).load(CPU)
    assert all(module.packed is None for module in plain.module.modules() if isinstance(module, Convolution))
    pixels = images(6, 3, 40, 32)
    assert distance(plain(pixels[:2]).features, compared[1][0][:2]) < 1e-4


def test_kernels_that_give_something_else_are_not_used(monkeypatch):
    layer = Convolution(torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4).eval())
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(inception, "_fused", lambda *given: layer(x) + 1)
    layer.pack(x, layer(x))
    assert layer.packed is None


def test_bf16_only_if_asked_for_and_then_it_is_another_metric(inception_weights, compared, monkeypatch):
    monkeypatch.setattr(InceptionV3, "release", dataclasses.replace(RELEASE, sha256=sha256(inception_weights)))
    assert InceptionV3(weights=inception_weights).load(CPU).canonical
    coarse = InceptionV3(weights=inception_weights, precision="bf16").load(CPU)
    assert not coarse.canonical
    assert coarse.provenance["precision"] == "bfloat16"
    found = coarse(images(6, 3, 40, 32))
    assert found.features.dtype == found.logits.dtype == torch.float32
    assert 1e-4 < distance(found.features, compared[1][0]) < 0.2
    with pytest.raises(ValueError, match="precision must be float32 or bf16, not 'fp16'"):
        InceptionV3(precision="fp16")


def test_float32_is_exact_whatever_the_process_allows(network, monkeypatch):
    seen = []
    given = network.module.forward

    def spy(x):
        seen.append((torch.backends.cudnn.conv.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision))
        return given(x)

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        outside = torch.backends.mkldnn.matmul.fp32_precision
        monkeypatch.setattr(network.module, "forward", spy)
        network(images(1, 3, 8, 8))
        assert seen == [("ieee", "ieee")]
        assert torch.backends.mkldnn.matmul.fp32_precision == outside != "ieee"
    finally:
        torch.set_float32_matmul_precision(before)
    with pytest.raises(KeyError), exact_float32():
        raise KeyError
    assert torch.backends.cudnn.conv.fp32_precision != "ieee"
    assert network.provenance["precision"] == "float32"


def sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_other_weights_are_not_canonical(network, inception_weights):
    assert not network.canonical
    assert network.provenance["weights_sha256"] == sha256(inception_weights)
    assert network.provenance["width"] == 2048
    assert network.provenance["logits"] == 1008
    said = json.dumps(network.provenance, allow_nan=False)
    assert torch.__version__ not in said  # versions must not change a score's protocol
    assert not network.module.training


def test_without_weights_or_network_it_says_what_to_do(no_downloads, capsys):
    reason = InceptionV3().available()
    assert str(no_downloads / "weights-inception-2015-12-05-6726825d.pth") in reason
    assert "python -m ganbench_zoo.fetch inception_v3" in reason
    assert "GANBENCH_INCEPTION" in reason
    with pytest.raises(ExtractorUnavailable, match="downloading failed: no network"):
        InceptionV3().load(CPU)
    assert capsys.readouterr().out == ""


def test_the_variable_names_a_file(no_downloads, inception_weights, monkeypatch):
    monkeypatch.setenv("GANBENCH_INCEPTION", inception_weights)
    assert InceptionV3().available() is None
    assert InceptionV3().load(CPU).provenance["weights_sha256"] == sha256(inception_weights)
    assert RELEASE.sha256 == SHA256


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_on_cuda_float32_is_float32(network, inception_weights):
    pixels, before = images(4, 3, 40, 32), torch.backends.cudnn.conv.fp32_precision
    found = InceptionV3(weights=inception_weights).load(torch.device("cuda"))(pixels)
    assert found.features.device.type == "cuda"
    assert distance(found.features.cpu(), network(pixels).features) < 1e-4  # TF32 would move them by 1e-3
    assert torch.backends.cudnn.conv.fp32_precision == before
