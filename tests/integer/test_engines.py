import copy
import pickle

import pytest
import torch
from torch.nn import functional as F

from rlcompress.integer import onednn
from rlcompress.integer.engines import IntegerConv
from rlcompress.integer.onednn import OneDnnEngine, int8_works
from rlcompress.integer.portable import PortableEngine
from rlcompress.integer.semantics import Bounds, Requantization

ENGINES = [
    PortableEngine(),
    pytest.param(OneDnnEngine(), marks=pytest.mark.skipif(not int8_works(), reason="int8 is not exact here")),
]


def integers(low, high, *shape, seed=0):
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))


def exact(conv, codes):
    centred = codes.double() - conv.zero_point
    return F.conv2d(centred, conv.codes.double(), None, conv.stride, conv.padding, conv.dilation, conv.groups)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_steps_can_be_copied_and_written(engine):
    codes = integers(0, 256, 2, 4, 6, 6).to(torch.uint8)
    step = engine.accumulator(IntegerConv(integers(-127, 128, 3, 4, 3, 3).to(torch.int8), 3, 255))
    wanted = step(codes.to(engine.code_type))
    for other in (copy.deepcopy(step), pickle.loads(pickle.dumps(step))):
        assert torch.equal(other(codes.to(engine.code_type)), wanted)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
@pytest.mark.parametrize("zero_point", [0, 117])
@pytest.mark.parametrize(
    ("channels", "filters", "size", "options"),
    [
        (16, 32, 3, {"padding": (1, 1)}),
        (5, 7, 3, {"stride": (2, 1), "padding": (0, 2)}),
        (8, 8, 3, {"groups": 8, "padding": (1, 1), "stride": (2, 2)}),
        (8, 16, 3, {"groups": 4, "dilation": (2, 2)}),
        (6, 3, 1, {"stride": (2, 2)}),
    ],
)
def test_convolutions(engine, zero_point, channels, filters, size, options):
    codes = integers(-127, 128, filters, channels // options.get("groups", 1), size, size).to(torch.int8)
    conv = IntegerConv(codes, zero_point, 255, **options)
    x = integers(0, 256, 3, channels, 9, 9).to(engine.code_type)
    acc = exact(conv, x)
    assert acc.abs().max() <= conv.largest_sum < 2**24
    assert torch.equal(engine.accumulator(conv)(x).double(), acc)

    m, b = integers(1, 99, filters) * 2.0**-14, integers(-999, 999, filters) * 2.0**-4
    to = Requantization(m, b, 0.75, Bounds(3, 200))
    residual = integers(0, 256, *acc.shape, seed=1)
    plain = acc * m.view(1, -1, 1, 1) + b.view(1, -1, 1, 1)
    module = engine.requantized(conv, to)
    assert torch.equal(module(x).double(), plain.round().clamp(3, 200))
    assert torch.equal(
        module(x, residual.to(engine.code_type)).double(), (plain + 0.75 * residual).round().clamp(3, 200)
    )


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_accumulators_that_float32_cannot_hold_are_rounded_once(engine):
    codes = torch.full((2, 1030, 3, 3), 127, dtype=torch.int8)
    codes[1, ::2] = -127
    conv = IntegerConv(codes, 0, 255)
    assert conv.largest_sum > 2**24
    x = integers(200, 256, 2, 1030, 5, 5).to(engine.code_type)
    assert torch.equal(engine.accumulator(conv)(x), exact(conv, x).float())


def test_the_probe_says_no_when_the_operator_fails_or_is_wrong(monkeypatch):
    int8_works.cache_clear()
    try:
        monkeypatch.setattr(onednn, "_agrees", lambda *_: False)
        assert not int8_works()
        int8_works.cache_clear()
        monkeypatch.delattr(torch.ops, "onednn")
        monkeypatch.setattr(onednn, "_agrees", lambda *_: torch.ops.onednn.missing())
        assert not int8_works()
    finally:
        monkeypatch.undo()
        int8_works.cache_clear()
