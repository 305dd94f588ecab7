"""The built-in networks with their published weights reproduce the published figures."""

import io
from itertools import pairwise

import numpy as np
import pytest
import torch

from rlcompress.data import ImageSet, load_data
from rlcompress.network.weights import build

slow = pytest.mark.slow


def top1_percent(module, images, card, batch_size):
    module.to(memory_format=torch.channels_last)
    right = 0
    with torch.inference_mode():
        for batch in torch.arange(len(images)).split(batch_size):
            x = images.normalized(batch, card.mean, card.std).contiguous(memory_format=torch.channels_last)
            right += int((module(x).argmax(1) == images.labels[batch]).sum())
    return 100 * right / len(images)


@pytest.mark.parametrize(
    ("name", "file", "published"),
    [
        ("mlperf_tiny_resnet8", "cifar10_resnet8_mlperftiny", 87.21),
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
    top1 = top1_percent(module, load_data(f"{data}:{real.cifar}").test, card, batch_size=100)
    # One image is 0.01 point: the ResNet-32's two best logits of CIFAR-100's test image 9305 differ by one rounding.
    assert top1 == pytest.approx(published, abs=0.0101)


@slow
@pytest.mark.parametrize(
    ("name", "file", "published"),
    [
        ("mobilenet_v1_0.25", "imagenet_mobilenet_v1_0.25_128", 49.46),
        ("mobilenet_v1_0.75", "imagenet_mobilenet_v1_0.75_192", 75.31),
        ("mobilenet_v2", "imagenet_mobilenet_v2_1.0_224", 78.31),
    ],
)
def test_top1_on_1300_imagenet_images(name, file, published, real):
    module, card = build(name, real.weights / f"{file}.safetensors")
    images = imagenet_images(real.data / "imagenet_val1300_227.npz", card.input_shape[1])
    assert top1_percent(module, images, card, batch_size=20) == pytest.approx(published, abs=0.01)


def imagenet_images(path, size):
    """Squares of 227 pixels, cropped at the centre to 224 or scaled bilinearly."""
    pillow = pytest.importorskip("PIL.Image")

    def decode(jpeg):
        image = pillow.open(io.BytesIO(jpeg)).convert("RGB")
        image = image.crop((1, 1, 225, 225)) if size == 224 else image.resize((size, size), pillow.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)

    with np.load(path, allow_pickle=False) as content:
        blob, ends, labels = content["blob"], content["offsets"], content["labels"]
    images = [decode(blob[start:end].tobytes()) for start, end in pairwise(ends)]
    return ImageSet(torch.stack(images), torch.from_numpy(labels.astype(np.int64)))


@slow
@pytest.mark.parametrize(("scale", "published"), [(2, 37.56), (3, 33.73), (4, 31.25)])
def test_vdsr_psnr_on_set5(scale, published, real):
    module, _ = build("vdsr", real.weights / "sr_vdsr.safetensors")
    with np.load(real.data / "set5.npz", allow_pickle=False) as images:
        psnr_db = [
            restored_psnr_db(module, images[f"{name}_GT_scale_{scale}"], images[f"{name}_GT"], scale)
            for name in ("baby", "bird", "butterfly", "head", "woman")
        ]
    assert np.mean(psnr_db) == pytest.approx(published, abs=0.01)


def restored_psnr_db(module, upscaled, truth, scale):
    """PSNR on luma without `scale` pixels at each border."""
    luma = bt601_luma(upscaled)
    with torch.inference_mode():
        restored = module(torch.from_numpy(luma / 255).float()[None, None])[0, 0].double().numpy() * 255
    height, width = luma.shape
    error = restored.clip(0, 255) - bt601_luma(truth)[:height, :width]
    return 20 * np.log10(255 / np.sqrt((error[scale:-scale, scale:-scale] ** 2).mean()))


def bt601_luma(rgb):
    return 16 + rgb.astype(np.float64) @ [65.481, 128.553, 24.966] / 255
