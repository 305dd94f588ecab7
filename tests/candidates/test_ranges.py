import copy
import math
from dataclasses import replace

import pytest
import torch

from rlcompress.candidates import Candidates, ranges
from rlcompress.candidates.judge import Judge
from rlcompress.candidates.ranges import fitted_ranges, packed, tuning_images, tuning_values, unpacked
from rlcompress.candidates.samples import stored_samples
from rlcompress.candidates.template import quantizable, quantizer_name
from rlcompress.integer import lower
from rlcompress.network.trace import trace
from rlcompress.spec import LayerChoice
from tests.small_networks import OptionAResNet, PerPixel, images

SHAPE = (3, 8, 8)
X = images(96, *SHAPE)
NETWORK = trace(OptionAResNet(), torch.zeros(1, *SHAPE))


def error(bank, bits, x):
    choices = dict.fromkeys(bank.network.layers, LayerChoice(activation_bits=bits))
    return float((lower(bank.stitch_locally(choices))(x) - bank.network.graph(x)).square().mean())


@pytest.fixture(scope="module")
def fitted():
    graph = quantizable(NETWORK)
    return fitted_ranges(stored_samples(graph, set(NETWORK.reads.values()), X), 3.0)


def test_networks_come_nearer_on_other_images_than_by_ranges_of_the_tensors_alone(monkeypatch):
    tuned = Candidates(NETWORK, X, range_norm=8.0)  # which hardly clips
    monkeypatch.setattr(
        "rlcompress.candidates.bank.retuned_ranges", lambda dense, plain, ranges, images, on_range: ranges
    )
    untuned, others = Candidates(NETWORK, X, range_norm=8.0), images(64, *SHAPE, seed=9)
    with torch.no_grad():
        ratios = [error(tuned, bits, others) / error(untuned, bits, others) for bits in (3, 4, 5)]
    assert max(ratios) < 0.98


def test_eight_bits_and_more_stay_and_a_network_that_is_not_repaired_keeps_all(fitted):
    tuned, raw = Candidates(NETWORK, X), Candidates(NETWORK, X, repair="none")
    for layer, stored in NETWORK.reads.items():
        assert [tuned.range(layer, b) for b in (8, 16)] == [fitted[stored][b] for b in (8, 16)]
        assert [raw.range(layer, b) for b in (2, 4, 8)] == [fitted[stored][b] for b in (2, 4, 8)]
    assert any(tuned.range(layer, 3) != fitted[stored][3] for layer, stored in NETWORK.reads.items())


@pytest.mark.parametrize("bits", [3, 4, 5])
def test_each_range_gives_less_error_than_its_neighbours_with_all_else_at_eight_bits(fitted, bits):
    bank, seen = Candidates(NETWORK, X), X[: tuning_images(1)]
    with torch.no_grad():
        target = NETWORK.graph(seen)
        for layer, stored in NETWORK.reads.items():
            network = copy.deepcopy(bank.stitch_locally(dict.fromkeys(NETWORK.layers, LayerChoice())))
            quantizer, found = network.get_submodule(quantizer_name(stored)), bank.range(layer, bits)
            place = round(math.log(found.scale / fitted[stored][bits].scale, 1.15))
            errors = {}
            for tried in {max(-3, place - 1), place, min(3, place + 1)}:
                quantizer.range = replace(found, scale=fitted[stored][bits].scale * 1.15**tried)
                errors[tried] = float((lower(network)(seen) - target).square().mean())
            assert errors[place] == min(errors.values())


def test_ranges_are_the_same_from_a_cache_and_by_either_engine(tmp_path, monkeypatch):
    banks = [Candidates(NETWORK, X, cache=tmp_path) for _ in range(2)]
    monkeypatch.setattr("rlcompress.integer.lowering.int8_works", lambda: False)
    banks.append(Candidates(NETWORK, X))
    for layer in NETWORK.layers:
        assert len({banks[i].range(layer, 4) for i in range(3)}) == 1


def test_progress_goes_tensor_by_tensor(tmp_path):
    seen = []
    for _ in range(2):
        Candidates(NETWORK, X, cache=tmp_path, on_range=lambda done, of: seen.append((done, of)))
    of = len(set(NETWORK.reads.values()))
    assert seen == [(done, of) for done in range(1, of + 1)]  # and nothing where they are kept


def test_packed_ranges_are_unpacked_to_the_bit(fitted):
    assert unpacked(packed(fitted)) == fitted


@pytest.mark.parametrize(
    ("values", "count"), [(10, 64), (ranges._MOST_VALUES // 10, 10), (10 * ranges._MOST_VALUES, 1)]
)
def test_large_tensors_leave_fewer_images(values, count):
    assert tuning_images(values) == count


def test_middles_of_more_images_are_looked_at_where_outputs_are_pixels(monkeypatch):
    whole = images(9, 3, 96, 128)
    network, seen = trace(PerPixel(), whole[:1]), []
    monkeypatch.setattr(ranges, "_MOST_VALUES", 3 * network.layers["last"].in_channels * 96 * 128)
    monkeypatch.setattr(ranges, "Judge", lambda dense, looked_at: seen.append(looked_at) or Judge(dense, looked_at))
    Candidates(network, whole)
    (looked_at,) = seen
    assert len(looked_at) > 3
    assert torch.equal(looked_at, whole[: len(looked_at), :, 16:80, 32:96])
    Candidates(network, whole[..., :41, :41])  # calibration images may be smaller than the others
    assert len(seen[1]) == len(whole)


@pytest.mark.parametrize("values", [10, ranges._MOST_VALUES // 10, 10 * ranges._MOST_VALUES])
def test_no_more_is_held_than_is_said(values):
    assert tuning_images(values) * values <= tuning_values(values)


def test_a_single_image_is_enough():
    assert torch.isfinite(
        lower(Candidates(NETWORK, X[:2]).stitch(dict.fromkeys(NETWORK.layers, LayerChoice())))(X)
    ).all()
