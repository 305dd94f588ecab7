"""A user's own table, and the export to Timeloop."""

import pytest
import yaml

from rlcompress import hw_models
from rlcompress.errors import HardwareError
from rlcompress.spec import ChoiceBatch, LayerChoice, LayerSpec, NetworkStructure
from tests.hw_models.networks import uniform

HEAD = "layer,weight_bits,activation_bits,keep_ratio,latency_ms,energy_uj\n"
ROWS = "fc,4,8,1,1.0,10\nfc,8,8,1,2.0,20\nfc,4,8,0.5,0.5,6\nfc,8,8,0.5,1.0,12\n"
SPECS = (LayerSpec(name="fc", kind="linear", in_channels=64, out_channels=10),)


@pytest.fixture
def model(tmp_path):
    (tmp_path / "board.csv").write_text(HEAD + ROWS)
    return hw_models.load(tmp_path / "board.csv")


def test_costs_are_interpolated(model):
    assert model.name == "board"
    cost = model.cost(SPECS, {"fc": LayerChoice(weight_bits=6)})
    assert (cost.energy_uj, cost.latency_ms) == pytest.approx((15, 1.5))
    cost = model.cost(SPECS, {"fc": LayerChoice(weight_bits=4, granularity="element", keep_ratio=0.75)})
    assert (cost.energy_uj, cost.latency_ms) == pytest.approx((8, 0.75))
    assert model.cost(SPECS, {"fc": LayerChoice(weight_bits=16)}).latency_ms == pytest.approx(4.0)


def test_batches_equal_singles(model):
    structure = NetworkStructure(SPECS)
    policies = [{"fc": LayerChoice(weight_bits=b)} for b in (2, 5, 8)]
    batch = model.costs(structure, ChoiceBatch.of(policies, structure.layers))
    assert batch.energy_uj.tolist() == pytest.approx([model.cost(structure, p).energy_uj for p in policies])
    assert batch.layer_pj.sum(axis=1).tolist() == pytest.approx(batch.energy_pj.tolist())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layer,bits\nfc,4\n", r"line 1: column 'weight_bits' is missing; a table has layer, weight_bits"),
        (HEAD, "the table has no rows"),
        (HEAD + "fc,4,8,1,x,10\n", r"line 2: every column but layer needs a number"),
        (HEAD + "fc,4,8,1,-1,10\n", r"line 2: numbers must be finite and not negative"),
        (HEAD + ROWS + "fc,2,8,1,1,1\n", r"layer 'fc': no row for weight_bits 2, activation_bits 8, keep_ratio 0.5"),
    ],
)
def test_mistakes_in_tables_are_named(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(HardwareError, match=message):
        hw_models.load(tmp_path / "t.csv")


def test_a_layer_without_rows_is_named(model):
    other = (LayerSpec(name="other", kind="linear", in_channels=64, out_channels=10),)
    with pytest.raises(HardwareError, match="board: layer 'other' has no rows; add them to the table"):
        model.cost(other, {"other": LayerChoice()})


def test_export_to_timeloop(structure):
    model = hw_models.load("scalable_sparse_16x32")
    policy = {**uniform(structure, weight_bits=4), "one": LayerChoice(granularity="element", keep_ratio=0.5)}
    document = yaml.safe_load(hw_models.to_timeloop(model, structure, policy))
    assert [node["name"] for node in document["architecture"]["nodes"]] == ["DRAM", "WBUF", "IBUF", "OBUF", "MAC"]
    problems = {problem["name"]: problem for problem in document["problems"]}
    assert set(problems) == {"stem", "one", "dw", "two", "fc"}
    assert problems["one"]["instance"] == {"N": 1, "G": 1, "K": 40, "C": 24, "P": 12, "Q": 12, "R": 3, "S": 3}
    assert problems["dw"]["instance"]["G"] == 40
    assert problems["one"]["densities"]["Weights"] == {"distribution": "hypergeometric", "density": 0.5}


def test_a_table_is_written_as_it_was_read(model, tmp_path):
    suffix, text = model.document
    (tmp_path / f"again.{suffix}").write_text(text)
    again = hw_models.load(tmp_path / f"again.{suffix}")
    choices = {"fc": LayerChoice(weight_bits=5, granularity="element", keep_ratio=0.8)}
    assert again.cost(SPECS, choices).energy_uj == model.cost(SPECS, choices).energy_uj
    assert again.description.confidence == "measured"
