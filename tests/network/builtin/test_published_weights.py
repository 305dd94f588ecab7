"""The built-in networks with their published weights reproduce the published figures."""

import pytest

from rlcompress.data import load_data
from rlcompress.evaluation import Evaluator
from rlcompress.network.weights import build

slow = pytest.mark.slow


@slow
@pytest.mark.parametrize(
    ("name", "file", "images", "top1"),
    [
        ("mlperf_tiny_resnet8", "cifar10_resnet8_mlperftiny", 10_000, 87.21),
        ("cifar_resnet20", "cifar10_resnet20_akamaster", 10_000, 91.73),
        ("cifar_resnet56", "cifar10_resnet56_akamaster", 2_000, 92.95),
        ("cifar_resnet8_stem64", "cifar10_resnet8_stem64_karanchahal", 10_000, 89.58),
        ("cifar_resnet20_stem64", "cifar10_resnet20_stem64_karanchahal", 2_000, 93.55),
        ("cifar_resnet32_stem64", "cifar10_resnet32_stem64_karanchahal", 2_000, 92.95),
        ("cifar_resnet8_stem64", "cifar100_resnet8_stem64_karanchahal", 10_000, 64.11),
        ("cifar_resnet20_stem64", "cifar100_resnet20_stem64_karanchahal", 2_000, 69.55),
        ("cifar_resnet32_stem64", "cifar100_resnet32_stem64_karanchahal", 2_000, 72.20),
    ],
)
def test_top1_on_cifar_test_images(name, file, images, top1, real):
    """Of all images the published figures; of 2,000 those of code that reaches the published ones on all."""
    module, card = build(name, real.weights / f"{file}.safetensors")
    data = load_data(f"{file.partition('_')[0]}:{real.cifar}").test.part(slice(images))
    # One image: two logits may differ by one rounding.
    assert Evaluator(module, data, card).dense.metric == pytest.approx(top1, abs=101 / images)


@slow
@pytest.mark.parametrize(
    ("name", "file", "options", "images", "top1"),
    [
        ("mobilenet_v1_0.25", "imagenet_mobilenet_v1_0.25_128", "size=128&crop=1", 1300, 49.46),
        ("mobilenet_v1_0.75", "imagenet_mobilenet_v1_0.75_192", "size=192&crop=1", 260, 80.77),
        ("mobilenet_v2", "imagenet_mobilenet_v2_1.0_224", "size=224&crop=center", 260, 82.69),
    ],
)
def test_top1_on_imagenet_images(name, file, options, images, top1, real):
    """All 1,300 give 75.31 for MobileNetV1 0.75 and 78.31 for MobileNetV2, the published figures."""
    module, card = build(name, real.weights / f"{file}.safetensors")
    test = load_data(f"imagefolder:{real.imagenet}?{options}").test
    assert len(test) == 1300
    assert Evaluator(module, test.part(slice(images)), card).dense.metric == pytest.approx(top1, abs=0.01)


@slow
@pytest.mark.parametrize(("scale", "published"), [(2, 37.56), (3, 33.73), (4, 31.25)])
def test_vdsr_psnr_on_set5(scale, published, real):
    module, card = build("vdsr", real.weights / "sr_vdsr.safetensors")
    data = load_data(f"set5:{real.set5}?scale={scale}&train={real.imagenet / 'train'}&crops=2")
    assert Evaluator(module, data.test, card).dense.metric == pytest.approx(published, abs=0.005)
