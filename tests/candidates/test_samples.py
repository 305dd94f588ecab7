import pytest
import torch
from torch import fx, nn

from rlcompress.candidates import samples
from rlcompress.candidates.samples import stored_samples
from rlcompress.errors import DataError


def network():
    return fx.symbolic_trace(nn.Sequential(nn.ReLU(), nn.Flatten()))


@pytest.mark.parametrize(("images", "chunk", "step"), [(5, 2, 7), (5, 5, 7), (7, 3, 11), (1, 16, 1)])
def test_samples_are_evenly_spread_over_all_images_whatever_the_chunk(monkeypatch, images, chunk, step):
    monkeypatch.setattr(samples, "_CHUNK", chunk)
    monkeypatch.setattr(samples, "_VALUES", 50)
    x = torch.randn(images, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    found = stored_samples(network(), {"_0"}, x)
    assert torch.equal(found["values _0"], x.relu().flatten()[::step])
    assert float(found["density _0"]) == pytest.approx(float((x > 0).float().mean()))


def test_samples_are_of_every_row_column_and_channel(monkeypatch):
    """Sizes are mostly powers of two, and so are numbers of images."""
    monkeypatch.setattr(samples, "_VALUES", 256)
    places = torch.arange(1.0, 257.0).view(1, 4, 8, 8)
    (values,) = (stored_samples(network(), {"_0"}, places.expand(32, 4, 8, 8).contiguous())["values _0"],)
    assert len(values.unique()) == 256


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_values_that_float32_cannot_compute_with_are_named(value):
    x = torch.ones(2, 1, 2, 2)
    x[1, 0, 0, 0] = value
    with pytest.raises(DataError, match="_0"):
        stored_samples(network(), {"_0"}, x)
