import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from rlcompress.network.trace import trace
from tests.small_networks import Net, conv

SHAPE = (3, 8, 8)


def traced(network):
    return trace(network, torch.zeros(1, *SHAPE))


def counted(network):
    """Multiply-accumulates by torch's own count."""
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, *SHAPE))
    return counter.get_total_flops() // 2


def twice():
    return Net(
        lambda s, x: s.fc(s.b(s.b(s.a(x))).mean((2, 3))), a=conv(3, 4), b=conv(4, 4, stride=2), fc=nn.Linear(4, 5)
    )


def tokens():
    return Net(
        lambda s, x: s.fc(s.mix(s.norm(s.tokens(s.a(x).flatten(2).transpose(1, 2))).transpose(1, 2)).mean(2)),
        a=conv(3, 4), tokens=nn.Linear(4, 6), norm=nn.LayerNorm(6), mix=nn.Conv1d(6, 8, 3, 2, groups=2),
        fc=nn.Linear(8, 5),
    )  # fmt: skip


def computed():
    return Net(
        lambda s, x: s.fc(
            F.linear(F.conv2d(s.a(x), s.b.weight * 2, stride=(2, 2), groups=2).mean((2, 3)), s.fc.weight.T.relu())
        ),
        a=conv(3, 4), b=conv(4, 6, groups=2), fc=nn.Linear(6, 6),
    )  # fmt: skip


@pytest.mark.parametrize("network", [twice(), tokens(), computed()], ids=["twice", "tokens", "computed"])
def test_specs_count_what_torch_counts(network):
    found = traced(network)
    assert sum(spec.macs for spec in found.specs) == counted(network)
    assert any(spec.fixed for spec in found.specs)
    assert found.uncharged == ()
    assert set(found.in_float32) <= {"norm"}


def test_every_call_of_a_shared_layer_has_a_spec_that_no_policy_changes():
    found = traced(twice())
    assert [(spec.name, spec.fixed, spec.out_height, spec.inputs) for spec in found.specs[:3]] == [
        ("a", False, 8, ()), ("b", True, 4, ("a",)), ("b_1", True, 2, ("b",)),
    ]  # fmt: skip
    assert list(found.layers) == ["a", "fc"]


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (nn.ConvTranspose2d(4, 6, 2, 2), 16 * 16 * 6 * 4 * 4),
        (nn.ConvTranspose2d(4, 6, (3, 1), 2, (1, 0), 1, groups=2), 16 * 16 * 6 * 2 * 3),
    ],
)
def test_a_transposed_convolution_runs_over_zeros_between_pixels(layer, macs):
    found = traced(Net(lambda s, x: s.fc(s.up(s.a(x)).mean((2, 3))), a=conv(3, 4), up=layer, fc=nn.Linear(6, 5)))
    spec = found.specs[1]
    assert (spec.name, spec.fixed, spec.macs, spec.weights) == ("up", True, macs, layer.weight.numel())
    assert (spec.input_elements, spec.output_elements) == (4 * 8 * 8, 6 * 16 * 16)
    assert found.layers["fc"].inputs == (found.specs[2].name,)


def test_what_costs_leave_out_is_said():
    def forward(s, x):
        x = s.up(s.a(x)).flatten(2).transpose(1, 2)
        states, _ = s.recurrent(s.norm(x @ x.transpose(1, 2) @ x))
        return s.fc(states.mean(1))

    network = Net(
        forward, a=conv(3, 4), up=nn.ConvTranspose2d(4, 6, 1), norm=nn.LayerNorm(6),
        recurrent=nn.GRU(6, 3, batch_first=True), fc=nn.Linear(3, 5),
    )  # fmt: skip
    found = traced(network)
    assert found.uncharged == ("matmul", "matmul_1", "recurrent")
    assert found.doubts == [
        "'up' cannot be compressed (ConvTranspose2d is not compressed); costs take it as dense at 8 bits, "
        "accuracies as it is, in floating point",
        "costs leave out 'matmul' and 2 more; savings are those of the rest of the network",
        "costs leave out what runs in float32: LayerNorm, mean ('norm' and 1 more)",
    ]
    assert traced(Net(lambda s, x: s.a(x).mean((2, 3)), a=conv(3, 4))).doubts == []


IN_FLOAT32 = {
    "GroupNorm": nn.GroupNorm(2, 4),
    "LayerNorm": nn.LayerNorm([4, 8, 8]),
    "InstanceNorm2d": nn.InstanceNorm2d(4),
    "LocalResponseNorm": nn.LocalResponseNorm(3),
    "GELU": nn.GELU(),
    "LeakyReLU": nn.LeakyReLU(),
    "Softmax2d": nn.Softmax2d(),
    "Upsample": nn.Upsample(scale_factor=2, mode="bilinear"),
    "BatchNorm2d": nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4)),
    "sigmoid": torch.sigmoid,
    "hardswish": F.hardswish,
    "interpolate": lambda x: F.interpolate(x, scale_factor=2),
    "softmax": lambda x: x.softmax(1),
    "mul": lambda x: 0.5 * x,
}


@pytest.mark.parametrize("kind", IN_FLOAT32)
def test_what_computes_in_float32_and_costs_nothing_is_named(kind):
    found = traced(
        Net(lambda s, x: s.b(s.call(s.a(x))).mean((2, 3)), a=conv(3, 4), call=IN_FLOAT32[kind], b=conv(4, 4))
    )
    assert list(found.in_float32.values()) == [kind]
    assert found.doubts == [f"costs leave out what runs in float32: {kind} ({next(iter(found.in_float32))!r})"]


FREE = {
    "folded BatchNorm": lambda s, x: s.norm(s.a(x)),
    "clamps": lambda s, x: F.relu6(F.relu(s.a(x))).clamp(0, 1),
    "modules of clamps": lambda s, x: s.clamp(s.a(x)),
    "pools": lambda s, x: F.avg_pool2d(F.max_pool2d(s.a(x), 2), 2),
    "sums and products": lambda s, x: (y := s.a(x)) + y * y,
    "moves": lambda s, x: torch.cat(s.a(x).transpose(2, 3).chunk(2, 1), 1).contiguous().view(x.size(0), 4, 4, -1),
    "padding": lambda s, x: F.pad(s.a(x), (1, 1, 1, 1), mode="reflect"),
    "constants": lambda s, x: s.a(x) + (s.norm.bias * 2).sigmoid().view(1, -1, 1, 1),
}


@pytest.mark.parametrize("name", FREE)
def test_what_is_charged_or_computes_nothing_is_not_named(name):
    clamp = nn.Sequential(nn.ReLU6(), nn.Hardtanh(0, 4), nn.ReLU(), nn.Dropout())
    forward = FREE[name]
    network = Net(
        lambda s, x: s.b(forward(s, x)).mean((2, 3)), a=conv(3, 4), norm=nn.BatchNorm2d(4), clamp=clamp, b=conv(4, 4)
    )
    assert traced(network).doubts == []


def test_many_operators_are_named_in_one_short_line():
    calls = [part for _ in range(9) for part in (nn.GELU(), nn.SiLU(), nn.GroupNorm(2, 4), nn.Tanh())]
    network = nn.Sequential(conv(3, 4), *calls, conv(4, 4))
    (doubt,) = traced(network).doubts
    assert doubt == "costs leave out what runs in float32: GELU, SiLU, GroupNorm and others ('1' and 35 more)"
