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
@pytest.mark.parametrize(
    ("channels", "filters", "kernel", "image", "options"),
    [
        (3, 16, (1, 1), (32, 2), {"stride": (4, 4), "padding": (1, 1)}),
        (3, 16, (3, 1), (16, 1), {"stride": (3, 3), "padding": (1, 1)}),
        (8, 1, (2, 2), (14, 1), {"stride": (4, 4), "padding": (1, 1), "dilation": (2, 2)}),
        (3, 1, (3, 1), (5, 1), {"stride": (1, 2), "padding": (2, 1), "dilation": (1, 2)}),
        (2, 4, (3, 1), (7, 1), {"stride": (2, 2), "padding": (25, 1), "dilation": (24, 24), "groups": 2}),
        (16, 16, (5, 5), (9, 3), {"padding": (2, 2)}),
    ],
)
def test_windows_that_lie_in_padding_alone(engine, channels, filters, kernel, image, options):
    groups = options.get("groups", 1)
    conv = IntegerConv(integers(-127, 128, filters, channels // groups, *kernel).to(torch.int8), 117, 255, **options)
    codes = integers(0, 256, 2, channels, *image, seed=1)
    wanted = exact(conv, codes)
    given = codes.to(engine.code_type)
    assert torch.equal(engine.accumulator(conv)(given), wanted.float())
    to = Requantization(torch.full((filters,), 2.0**-10), torch.full((filters,), 3.0), 0.5, Bounds(0, 255))
    residual = integers(0, 256, *wanted.shape, seed=2).to(engine.code_type)
    sums = wanted * 2.0**-10 + 3.0 + 0.5 * residual.double()
    assert torch.equal(engine.requantized(conv, to)(given, residual).double(), sums.round().clamp(0, 255))


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
