"""The pretrained families give torch-fidelity's features, here with random weights from a file."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from torch import Tensor, nn

from ganbench import ImageSpec, PointSpec
from ganbench_zoo import dinov2, fetch
from ganbench_zoo.dinov2 import Size
from ganbench_zoo.extractors import clip, inception_v3, vgg16
from ganbench_zoo.extractors import dinov2 as transformers
from ganbench_zoo.extractors.clip import ClipRn50, ClipRn50x64, ClipRn101, ClipVitB16, ClipVitB32, ClipVitL14
from ganbench_zoo.extractors.dinov2 import Dinov2VitB14, Dinov2VitS14
from ganbench_zoo.extractors.vgg16 import Vgg16

CPU = torch.device("cpu")
ALL = [component for module in (inception_v3, vgg16, clip, transformers) for component in module.extractors()]


def images(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def randomised(module: nn.Module) -> nn.Module:
    """Fill ``module`` with values under which activations keep their scale, and return it."""
    rng = torch.Generator().manual_seed(0)
    for name, value in module.state_dict().items():
        if "running_var" in name:
            value.uniform_(0.5, 2, generator=rng)
        elif value.is_floating_point():
            fan = value[0].numel() if value.dim() > 1 else 4
            value.normal_(0, fan**-0.5, generator=rng)
            if value.dim() == 1 and name.endswith("weight"):
                value.add_(1)
    return module


def their_features(name: str, module_of, pixels: Tensor) -> Tensor:
    """Return what torch-fidelity's extractor gives whose network is ``module_of(extractor class)``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing its vision stack may warn of what its dependencies deprecate
        from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
    kind = FEATURE_EXTRACTORS_REGISTRY[name]
    layer = kind.get_default_feature_layer_for_metric("fid")
    extractor = kind.__new__(kind)  # its constructor would download
    nn.Module.__init__(extractor)
    extractor.features_list, extractor.feature_extractor_internal_dtype = [layer], torch.float32
    module_of(extractor)
    with torch.no_grad():
        return extractor.eval()(pixels)[0]


def check_family_member(component, path, wanted: Tensor, pixels: Tensor) -> None:
    """Hold ``component`` with weights at ``path`` to the features ``wanted`` of ``pixels``."""
    network = component(weights=str(path)).load(CPU)
    found = network(pixels)
    assert found.logits is None
    assert found.features.dtype == torch.float32
    assert found.features.shape == (len(pixels), component.width)
    assert wanted.std(0).max() > 1e-3 * wanted.abs().max()  # images differ in them
    assert ((found.features - wanted).norm(dim=1) / wanted.norm(dim=1)).max() < 1e-4
    single = network(pixels[:1]).features
    assert (single - found.features[:1]).norm() / wanted[0].norm() < 1e-4
    assert torch.equal(network(pixels.float()).features, found.features)
    grey = pixels[:1, :1]
    assert torch.equal(network(grey).features, network(grey.expand(-1, 3, -1, -1)).features)
    assert not network.canonical
    assert network.provenance["width"] == component.width
    assert network.provenance["precision"] == "float32"
    assert "repeated to three" in network.provenance["preprocessing"]["input"]
    json.dumps(network.provenance, allow_nan=False)


def test_vgg16(tmp_path):
    from torchvision.models import vgg16 as build

    with torch.device("meta"):
        module = build()
    module = randomised(module.to_empty(device="cpu"))
    torch.save(module.state_dict(), tmp_path / "w.pth")
    pixels = images(2, 3, 32, 48)

    def attach(extractor):
        for tail in (6, 5, 4):
            del module.classifier[tail]
        extractor.model = module

    check_family_member(Vgg16, tmp_path / "w.pth", their_features("vgg16", attach, pixels), pixels)


def encoder(width: int, side: int, layers, channels: int, patch: int | None) -> nn.Module:
    """Return one of CLIP's image encoders as torch-fidelity builds it, without text; weights of half precision."""
    from torch_fidelity.feature_extractor_clip import CLIPVisual

    module = randomised(CLIPVisual(width, side, layers, channels, patch)).half()
    for norm in [module for module in module.modules() if isinstance(module, nn.BatchNorm2d)]:
        norm.float()
    return module


@pytest.mark.parametrize(
    ("component", "shape", "sister", "cousin"),
    [
        (ClipRn50, (1024, 224, (3, 4, 6, 3), 64, None), ClipRn50x64, ClipRn101),
        (ClipVitB32, (512, 224, 2, 768, 32), ClipVitB16, ClipVitL14),
    ],
)
def test_clip(component, shape, sister, cousin, tmp_path):
    module = encoder(*shape)
    torch.save(module.state_dict(), tmp_path / "w.pth")
    pixels = images(2, 3, 40, 32)

    def attach(extractor):
        extractor.model, extractor.resolution = module.float(), module.visual.input_resolution

    wanted = their_features(component.network, attach, pixels)
    check_family_member(component, tmp_path / "w.pth", wanted, pixels)
    with pytest.raises(ValueError, match=r"does not hold this network's weights: width, resolution .* are \("):
        sister(weights=str(tmp_path / "w.pth")).load(CPU)
    with pytest.raises(ValueError, match="does not hold this network's weights"):
        cousin(weights=str(tmp_path / "w.pth")).load(CPU)


def test_dinov2(tmp_path):
    module = dinov2.VisionTransformer(Dinov2VitS14.size)
    randomised(module)
    torch.save(module.state_dict(), tmp_path / "w.pth")
    pixels = images(2, 3, 40, 32)

    def attach(extractor):
        extractor.model = module

    wanted = their_features(Dinov2VitS14.network, attach, pixels)
    check_family_member(Dinov2VitS14, tmp_path / "w.pth", wanted, pixels)
    with pytest.raises(ValueError, match="does not hold this network's weights"):
        Dinov2VitB14(weights=str(tmp_path / "w.pth")).load(CPU)


@pytest.mark.parametrize(
    ("gated", "wanted"),
    [
        (False, [-1.13117, 0.50463, 1.43000, -2.53863, 0.52683, 1.71533]),
        (True, [-1.27301, -1.40664, -0.94593, -0.68481, 1.89579, 1.51823]),
    ],
)
def test_the_transformer_of_dinov2_is_its_authors(gated, wanted):
    """The numbers are what github.com/facebookresearch/dinov2 gives (August 2025) with these weights."""
    state = dinov2.VisionTransformer(size := Size(width=24, depth=2, heads=3, gated=gated)).state_dict()
    for number, (name, value) in enumerate(sorted(state.items())):
        wave = torch.sin(torch.arange(value.numel(), dtype=torch.float64) * 0.7 + number) * 0.4
        scale = name.endswith(("norm1.weight", "norm2.weight", "norm.weight", "gamma"))
        value.copy_((wave + 0.8 * scale).view(value.shape))
    pixels = torch.sin(torch.arange(3 * 224 * 224, dtype=torch.float64) * 0.01).view(1, 3, 224, 224).float()
    with torch.no_grad():
        found = dinov2.build(size, state)(pixels)
    assert found.shape == (1, 24)
    assert torch.allclose(found[0, :6], torch.tensor(wanted), atol=1e-4)


@pytest.mark.parametrize("component", ALL, ids=lambda component: component.name)
def test_what_each_accepts_and_is_called(component):
    extractor = component()
    assert extractor.name in fetch.releases()
    assert component.release.extractor == component.name
    assert extractor.network.replace("-", "_").removesuffix("_compat") == component.name
    assert extractor.domains is None
    assert extractor.accepts(ImageSpec((1, 28, 28))) is None
    assert extractor.accepts(ImageSpec((3, 64, 48))) is None
    assert extractor.accepts(ImageSpec((4, 32, 32))) == f"{component.name} takes one or three channels, not 4"
    assert "takes images, not points" in extractor.accepts(PointSpec((2,)))
    assert extractor.published == (component.name == "inception_v3")
    assert f"{component.width:,}" in component.__doc__
