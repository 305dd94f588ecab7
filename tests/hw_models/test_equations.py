"""Single equations against hand-worked numbers."""

import math

import numpy as np
import pytest

from rlcompress.hw_models import HardwareModel, load
from rlcompress.hw_models.array_fixed import padding_share
from rlcompress.hw_models.memo import Memo
from rlcompress.hw_models.sram import access_pj
from rlcompress.hw_models.storage import FORMATS
from rlcompress.hw_models.tiles import Extents
from rlcompress.hw_models.tiling import best_tiling
from rlcompress.hw_models.zeros import slowest
from rlcompress.spec import LayerChoice, LayerSpec

SPARSE = load("scalable_sparse_16x32").description


def stored(form, elements, density, bits, kernel=9):
    arrays = tuple(np.array([float(value)]) for value in (elements, density, bits, kernel))
    return float(FORMATS[form](arrays, SPARSE)[0])


def test_stored_bits():
    assert stored("dense", 1000, 0.5, 4) == 4000
    assert stored("bitmask", 1000, 0.5, 4) == 1000 + 2000
    assert stored("n:m", 1000, 0.5, 4) == 500 * (4 + 2)
    assert stored("block", 1000, 0.5, 4) == 2000 + 250
    assert stored("kernel", 900, 0.5, 4) == 1800 + 100
    assert stored("pattern", 900, 4 / 9, 4) == pytest.approx(1600 + 100 * 3)
    assert stored("run-length", 1000, 0.5, 16) == pytest.approx(500 * 64 / 3)
    full_run = 0.9**16
    assert stored("csc", 1000, 0.1, 4) == pytest.approx(100 * 8 * (1 + full_run / (1 - full_run)))


def test_the_slowest_element():
    slots, density = np.array([100.0]), np.array([0.25])
    spread = math.sqrt(2 * math.log(64) * 100 * 0.25 * 0.75)
    assert slowest(slots, density, 64)[0] == pytest.approx(25 + spread)
    assert slowest(slots, density, 1)[0] == 25
    assert slowest(slots, np.array([1.0]), 64)[0] == 100
    assert slowest(slots, np.array([0.99]), 64)[0] == 100


def test_padding_of_compressed_columns():
    assert padding_share(np.array([0.1]), np.array([16.0]), 4)[0] == 0
    assert padding_share(np.array([0.1]), np.array([20.0]), 4)[0] == pytest.approx(4 * 0.9**16 / 20)


def test_sram_table():
    """CACTI 7, itrs-lstp: 128 KB with a 64-bit port at 65 nm reads at 59.3 pJ; between sizes it lies between."""
    assert access_pj("read", 65, 131072, 64) == pytest.approx(59.3)
    assert 47.0 < access_pj("read", 65, 100_000, 64) < 59.3
    assert access_pj("read", 45, 8192, 64) < access_pj("read", 45, 8192, 128)


def test_tiling_moves_everything_once_when_it_fits_and_more_when_it_does_not():
    def extents(weight_bits):
        sizes = {"K": 64, "C": 64, "P": 16, "Q": 16, "R": 3, "S": 3, "stride": 1, "images": 1}
        sizes |= {"weight_bits": weight_bits, "input_bits": 18 * 18 * 64 * 8, "sum_bits": 16 * 16 * 64 * 32}
        return Extents(**{k: np.array([float(v)]) for k, v in {**sizes, "input_price": 1, "weight_price": 1}.items()})

    def tiling(room):
        return best_tiling(extents(64 * 64 * 9 * 8), [tuple(np.array([float(r)]) for r in room)], 16)

    everything = tiling((1e7, 1e7, 1e7))
    assert everything.weights[0] == 64 * 64 * 9 * 8
    assert everything.inputs[0] == 18 * 18 * 64 * 8
    assert everything.spills[0] == 0
    tight = tiling((2e4, 2e4, 2e4))
    assert tight.price[0] > everything.price[0]


@pytest.mark.parametrize(("serial", "cycles"), [("no", 1), ("activations", 4), ("both", 12)])
def test_bit_serial_arrays_take_a_cycle_for_every_bit(serial, cycles):
    array = SPARSE.array.model_copy(update={"fused": False, "serial": serial})
    model = HardwareModel(SPARSE.model_copy(update={"array": array}))
    spec = LayerSpec(name="fc", kind="linear", in_channels=16, out_channels=32)
    layer = model.cost([spec], {"fc": LayerChoice(weight_bits=3, activation_bits=4)}).layers[0]
    assert layer.cycles_by_bound["compute"] == cycles
    assert layer.energy_pj["MAC"] == pytest.approx(16 * 32 * cycles * 0.459)


def test_the_memo_finds_what_it_was_given_and_starts_anew_when_full():
    memo = Memo(8, 1)
    keys = np.random.default_rng(0).integers(1, 2**63, 300, np.uint64)
    memo.add(keys[:100], np.arange(100.0)[:, None])
    slots = memo.find(keys[:100])
    known = slots >= 0
    assert known.mean() > 0.95
    assert memo.values[slots[known], 0].tolist() == np.arange(100.0)[known].tolist()
    assert np.all(memo.find(keys[100:]) < 0)
    memo.add(keys[100:200], np.arange(100.0)[:, None])
    assert np.all(memo.find(keys[:100]) < 0)
