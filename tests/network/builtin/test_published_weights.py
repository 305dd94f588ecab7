"""The built-in networks with their published weights reproduce the published figures."""

import pytest

from rlcompress.data import load_data
from rlcompress.evaluation import Evaluator
from rlcompress.network.weights import build

slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "file", "published"),
    [
        pytest.param("mlperf_tiny_resnet8", "cifar10_resnet8_mlperftiny", 87.21, marks=slow),
        pytest.param("cifar_resnet20", "cifar10_resnet20_akamaster", 91.73, marks=slow),
        pytest.param("cifar_resnet56", "cifar10_resnet56_akamaster", 93.39, marks=slow),
        pytest.param("cifar_resnet8_stem64", "cifar10_resnet8_stem64_karanchahal", 89.58, marks=slow),
        pytest.param("cifar_resnet20_stem64", "cifar10_resnet20_stem64_karanchahal", 93.01, marks=slow),
        pytest.param("cifar_resnet32_stem64", "cifar10_resnet32_stem64_karanchahal", 93.69, marks=slow),
        pytest.param("cifar_resnet8_stem64", "cifar100_resnet8_stem64_karanchahal", 64.11, marks=slow),
        pytest.param("cifar_resnet20_stem64", "cifar100_resnet20_stem64_karanchahal", 69.69, marks=slow),
        pytest.param("cifar_resnet32_stem64", "cifar100_resnet32_stem64_karanchahal", 71.70, marks=slow),
    ],
)
def test_top1_on_all_cifar_test_images(name, file, published, real):
    module, card = build(name, real.weights / f"{file}.safetensors")
    data = file.partition("_")[0]
    top1 = Evaluator(module, load_data(f"{data}:{real.cifar}").test, card).dense.metric
    # One image is 0.01 point: the ResNet-32's two best logits of CIFAR-100's test image 9305 differ by one rounding.
    assert top1 == pytest.approx(published, abs=0.0101)


@slow
@pytest.mark.parametrize(
    ("name", "file", "options", "published"),
    [
        ("mobilenet_v1_0.25", "imagenet_mobilenet_v1_0.25_128", "size=128&crop=1", 49.46),
        ("mobilenet_v1_0.75", "imagenet_mobilenet_v1_0.75_192", "size=192&crop=1", 75.31),
        ("mobilenet_v2", "imagenet_mobilenet_v2_1.0_224", "size=224&crop=center", 78.31),
    ],
)
def test_top1_on_1300_imagenet_images(name, file, options, published, real):
    module, card = build(name, real.weights / f"{file}.safetensors")
    test = load_data(f"imagefolder:{real.imagenet}?{options}").test
    assert len(test) == 1300
    assert Evaluator(module, test, card).dense.metric == pytest.approx(published, abs=0.01)


@slow
@pytest.mark.parametrize(("scale", "published"), [(2, 37.56), (3, 33.73), (4, 31.25)])
def test_vdsr_psnr_on_set5(scale, published, real):
    module, card = build("vdsr", real.weights / "sr_vdsr.safetensors")
    data = load_data(f"set5:{real.set5}?scale={scale}&train={real.imagenet / 'train'}&crops=2")
    assert Evaluator(module, data.test, card).dense.metric == pytest.approx(published, abs=0.005)
