import pytest
import torch

from rlcompress.integer.steps import AverageReal, Window
from rlcompress.quantization import ActivationRange


@pytest.mark.parametrize("keepdim", [True, False])
@pytest.mark.parametrize("shape", [(48, 48), (128, 128), (300, 300), (512, 384), (70_000, 1), (1, 70_000)])
def test_averages_of_real_values_are_near_whatever_the_size(shape, keepdim):
    height, width = shape
    mean = torch.tensor([0.037, 0.070, -0.021, 0.121]).view(1, 4, 1, 1)
    x = mean + 0.5 * torch.randn(2, 4, height, width, generator=torch.Generator().manual_seed(0))
    average = AverageReal(Window(None, keepdim), ActivationRange(0.002, 128, 8))
    wanted = x.double().mean((2, 3), keepdim=keepdim).float()
    assert average(x).shape == wanted.shape
    if width > 1:
        assert (average(x) - wanted).abs().max() < 0.25 * 0.002
    assert torch.equal(average(x), torch.cat([average(x[:1]), average(x[1:].contiguous())]))
