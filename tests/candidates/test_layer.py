"""Layers whose Hessian is singular, badly scaled or zero are compressed to finite weights."""

import pytest
import torch

from rlcompress.candidates.layer import DenseLayer, Pruning, compress
from rlcompress.pruning import CRITERIA

_ROWS, _COLUMNS = 4, 36


def _moments(x):
    return x @ x.T / x.shape[1]


def _hessians():
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(_COLUMNS, 200, generator=draw)
    shared = torch.randn(1, 200, generator=draw)
    loud = noise.clone()
    loud[0] *= 1e6
    return {
        "constant inputs": torch.ones(_COLUMNS, _COLUMNS),
        "collinear inputs": _moments(torch.arange(1.0, _COLUMNS + 1)[:, None] * shared),
        "nearly collinear inputs": _moments(1e3 * shared + 1e-4 * noise),
        "fewer images than inputs": _moments(noise[:, :3]),
        "indefinite by rounding": torch.ones(_COLUMNS, _COLUMNS) - 1e-3 * torch.eye(_COLUMNS),
        "one loud input": _moments(loud),
        "dead inputs": torch.zeros(_COLUMNS, _COLUMNS),
        "subnormal inputs": torch.full((_COLUMNS, _COLUMNS), 1e-42),
    }


HESSIANS = _hessians()


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("name", HESSIANS)
@pytest.mark.parametrize("power", [1.0, 0.0], ids=["live weights", "dead weights"])
def test_codes_and_scales_are_finite_and_the_outputs_stay(name, criterion, power):
    weight = power * torch.randn(_ROWS, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    hessian = HESSIANS[name]
    layer = DenseLayer(weight, hessian[None], weight.abs())
    every = torch.ones(_ROWS, dtype=torch.bool)
    for pruning in (Pruning("none", 1.0, criterion), Pruning("element", 0.5, criterion)):
        for bits, compressed in compress(layer, every, every, pruning, (2, 8)).items():
            assert compressed.dequantized().isfinite().all()
            assert (compressed.scale > 0).all()
            if bits == 8 and pruning.granularity == "none":
                error = (compressed.dequantized() - weight).flatten(1)
                powers = [((w @ hessian) * w).sum() for w in (error, weight.flatten(1))]
                assert powers[0] <= 1e-3 * powers[1] + 1e-30


@pytest.mark.parametrize("name", HESSIANS)
@pytest.mark.parametrize("power", [1.0, 0.0], ids=["live weights", "dead weights"])
def test_codebooks_are_finite_and_as_small_as_asked_for(name, power):
    weight = power * torch.randn(_ROWS, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    every = torch.ones(_ROWS, dtype=torch.bool)
    for pruning in (Pruning("none", 1.0, "obs"), Pruning("element", 0.5, "obs")):
        layer = DenseLayer(weight, HESSIANS[name][None])
        for bits, compressed in compress(layer, every, every, pruning, (2, 5), quantizer="clustered").items():
            assert compressed.dequantized().isfinite().all()
            assert (compressed.scale > 0).all()
            assert len(compressed.codes.unique()) <= 2**bits


@pytest.mark.parametrize("pruning", [Pruning("none", 1.0, "obs"), Pruning("element", 0.5, "obs")])
def test_a_depthwise_layer_may_lose_every_channel(pruning):
    layer = DenseLayer(torch.ones(6, 1, 3, 3), torch.eye(9).repeat(6, 1, 1))
    none, one = torch.zeros(6, dtype=torch.bool), torch.ones(1, dtype=torch.bool)
    compressed = compress(layer, none, one, pruning, (2, 8))
    assert all(not weight.codes.any() and (weight.scale == 1).all() for weight in compressed.values())
