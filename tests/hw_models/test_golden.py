"""Published figures, each with its source; `python -m benchmarks.hardware` holds all rows against the tables."""

import numpy as np
import pytest

from benchmarks.hardware.eyeriss import DRAM
from benchmarks.hardware.row import figures_of, with_batch
from benchmarks.networks.bitfusion import NETWORKS
from benchmarks.networks.classic import alexnet, resnet
from benchmarks.networks.edge import NETWORKS as EDGE
from benchmarks.networks.tiny import TINY
from rlcompress.hw_models import load
from rlcompress.spec import LayerSpec

ALEXNET_ZEROS = (0.0001, 0.387, 0.725, 0.793, 0.776)
"""Share of zero inputs of CONV1 to 5; Chen et al., JSSC 52(1) 2017, Table V."""


@pytest.fixture(scope="module")
def eyeriss():
    specs = alexnet(tuple(1 - zeros for zeros in ALEXNET_ZEROS))
    return [i for i, s in enumerate(specs) if s.compressible], figures_of(with_batch("eyeriss_v1", 4), specs, (16, 16))


def test_eyeriss_buffer_traffic(eyeriss):
    """JSSC 2017, Table V: MB through the buffer for four images."""
    layers, figures = eyeriss
    published = [18.5, 77.6, 50.2, 37.4, 24.9]
    assert (figures.glb_bits[layers] * 4 / 8e6).tolist() == pytest.approx(published, rel=0.015)


def test_eyeriss_latency(eyeriss):
    """JSSC 2017, Table V: processing latency in ms for four images."""
    layers, figures = eyeriss
    published = [16.5, 39.2, 21.8, 16.0, 10.0]
    assert (figures.cycles[layers] * 4 / 200e3).tolist() == pytest.approx(published, rel=0.08)


def test_eyeriss_power(eyeriss):
    """JSSC 2017, Table V: mW of the chip; a layer within 10 %, all within 5 % of 278 mW."""
    layers, figures = eyeriss
    energy = figures.energy_pj[:, layers].sum(axis=0) - figures.energy_pj[DRAM, layers]
    seconds = figures.cycles[layers] / 200e6
    assert (energy * 1e-9 / seconds).tolist() == pytest.approx([332, 288, 266, 235, 236], rel=0.10)
    assert energy.sum() * 1e-9 / seconds.sum() == pytest.approx(278, rel=0.05)


@pytest.mark.parametrize(
    ("network", "ms", "uj"),
    [
        ("AlexNet", 4.708311, 8234.902),
        ("SVHN", 0.16469, 263.629),
        ("CIFAR10", 0.411713, 723.401),
        ("LeNet-5", 0.051294, 71.308),
        ("RESNET-18", 6.134998, 10588.921),
    ],
)
def test_bitfusion_networks(network, ms, uj):
    """Sharma et al., ISCA 2018, simulator results (hsharma35/bitfusion 04ec1c8), an image of a batch of 16."""
    specs, widths = NETWORKS[network]()
    figures = figures_of(with_batch("bitfusion_16x32", 16), specs, widths)
    layers = [i for i, spec in enumerate(specs) if spec.compressible]
    assert figures.cycles[layers].sum() / 500e3 == pytest.approx(ms, rel=0.10)
    assert figures.energy_pj[:, layers].sum() * 1e-6 == pytest.approx(uj, rel=0.10)


def test_bitfusion_cycles_without_stalls():
    """The same source: compute cycles of AlexNet's conv1_a, conv2_a, conv3_a and fc1 for a batch of 16."""
    specs, widths = NETWORKS["AlexNet"]()
    figures = figures_of(with_batch("bitfusion_16x32", 16), specs, widths)
    cycles = {spec.name: figures.compute_cycles[i] * 16 for i, spec in enumerate(specs)}
    published = {"conv1_a": 3339600, "conv2_a": 5017600, "conv3_a": 2709504, "fc1": 1179648}
    assert {name: cycles[name] for name in published} == published


@pytest.mark.parametrize(("macs", "fps", "mw"), [(2048, 269, 291), (1024, 153, 143), (256, 46, 48), (64, 7.3, 21)])
def test_nvdla_on_resnet50(macs, fps, mw):
    """nvdla.org primer, performance table: frames/s and average mW at 16 nm."""
    figures = figures_of(with_batch(f"nvdla_{macs}", 16), resnet((3, 4, 6, 3), first_stride_on_3x3=False))
    rate = 1e9 / figures.cycles.sum()
    assert rate == pytest.approx(fps, rel=0.04)
    energy = figures.energy_pj.sum() - figures.energy_pj[DRAM].sum()
    assert energy * rate * 1e-9 == pytest.approx(mw, rel=0.20)


def test_systolic_array_cycles():
    """SCALE-Sim 3.0, weight-stationary 32x32: AlexNet conv3 takes 227,231 cycles without stalls."""
    shape = {"in_height": 15, "in_width": 15, "out_height": 13, "out_width": 13, "kernel_height": 3, "kernel_width": 3}
    spec = LayerSpec(name="conv3", kind="conv", in_channels=256, out_channels=384, **shape)
    assert figures_of(load("systolic_ws"), (spec,)).compute_cycles[0] == 227231


@pytest.mark.parametrize(
    ("name", "ms"),
    [
        ("cortex_m4", {"ic": 165.1255, "vww": 88.9284, "kws": 43.1872, "ad": 5.2608}),
        ("cortex_m7", {"ic": 40.8447, "vww": 23.8044, "kws": 11.3179, "ad": 1.2255}),
        ("gap9_like", {"ic": 0.6162, "vww": 1.1248, "kws": 0.4755, "ad": 0.1757}),
    ],
)
def test_microcontrollers(name, ms):
    """MLPerf Tiny v1.2 (STMicroelectronics) and v1.0 (GreenWaves), closed division, measured latency."""
    model = load(name)
    for benchmark, published in ms.items():
        cycles = figures_of(model, TINY[benchmark]()).cycles.sum()
        assert cycles / model.description.clock_mhz * 1e-3 == pytest.approx(published, rel=0.25)


def test_ethos_u55_operators():
    """Vela 5.2, ethos-u55-128, ResNet-8: NPU cycles of the second convolution and of the first sum."""
    specs = TINY["ic"]()
    figures = figures_of(load("ethosu55_128"), specs)
    assert figures.compute_cycles[1] == pytest.approx(25715, rel=0.20)
    assert figures.compute_cycles[[s.kind for s in specs].index("add")] == 24576
    assert figures.macs[1] == 2359296


@pytest.mark.parametrize(
    ("network", "ms"), [("MobileNet v1", 2.4), ("MobileNet v1 SSD", 6.5), ("ResNet-50 V1", 49), ("VGG16", 296)]
)
def test_edge_tpu(network, ms):
    """Coral's benchmark table, USB 3."""
    figures = figures_of(load("edgetpu_like"), EDGE[network]())
    assert figures.cycles.sum() / 480e3 == pytest.approx(ms, rel=0.20)


def test_network_sizes_are_the_published_ones():
    """MACs: VGG-16 and ResNet-50 (their papers), MLPerf Tiny's reference models."""
    sizes = {"ic": 12501632, "vww": 7489664, "kws": 2656768, "ad": 264192}
    assert {name: sum(s.macs for s in make()) for name, make in TINY.items()} == sizes
    assert sum(spec.macs for spec in resnet((3, 4, 6, 3))) == pytest.approx(4.09e9, rel=0.01)
    assert np.sum([spec.weights for spec in EDGE["Inception v4"]() if spec.compressible]) == pytest.approx(
        42.6e6, rel=0.01
    )
    ssd = EDGE["MobileNet v1 SSD"]()  # Open Model Zoo's card of ssd_mobilenet_v1_coco: 2.494 GFLOPs, 6.807 M parameters
    assert sum(spec.macs for spec in ssd) == pytest.approx(2.494e9 / 2, rel=0.01)
    assert sum(spec.weights for spec in ssd if spec.compressible) == pytest.approx(6.807e6, rel=0.01)
