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


def _costs(model, **choice):
    cost = model.cost(SPECS, {"fc": LayerChoice(**choice)})
    return cost.energy_uj, cost.latency_ms


@pytest.mark.parametrize("granularity", ["filter", "channel"])
def test_keep_ratios_are_interpolated_between_the_rows(model, granularity):
    assert model.name == "board"
    pruned = {"weight_bits": 4, "granularity": granularity}
    assert _costs(model, **pruned, keep_ratio=0.5) == pytest.approx((6, 0.5))
    assert _costs(model, **pruned, keep_ratio=0.75) == pytest.approx((8, 0.75))
    assert _costs(model, **pruned, keep_ratio=0.9) == pytest.approx((9.2, 0.9))


def test_nothing_is_saved_by_what_was_not_measured(model):
    assert _costs(model, weight_bits=2) == _costs(model, weight_bits=4) == pytest.approx((10, 1.0))
    assert _costs(model, weight_bits=5, activation_bits=3) == _costs(model, weight_bits=8) == pytest.approx((20, 2.0))
    for keep_ratio in (0.1, 0.45):
        assert _costs(model, granularity="filter", keep_ratio=keep_ratio) == pytest.approx((12, 1.0))
    for granularity in ("element", "n:m", "block"):
        assert _costs(model, granularity=granularity, keep_ratio=0.5) == pytest.approx((20, 2.0))


def test_a_column_names_the_granularity_that_was_measured(tmp_path):
    head = HEAD.replace("\n", ",granularity\n")
    rows = "fc,8,8,1,2.0,20,\nfc,8,8,0.5,1.0,12,\nfc,8,8,0.5,1.5,18,element\nfc,8,8,0.25,1.2,16,element\n"
    (tmp_path / "t.csv").write_text(head + rows)
    model = hw_models.load(tmp_path / "t.csv")
    assert _costs(model, granularity="filter", keep_ratio=0.25) == pytest.approx((12, 1.0))
    assert _costs(model, granularity="element", keep_ratio=0.25) == pytest.approx((16, 1.2))
    assert _costs(model, granularity="element", keep_ratio=0.75) == pytest.approx((19, 1.75))
    assert _costs(model, granularity="n:m", keep_ratio=0.5) == pytest.approx((20, 2.0))
    (tmp_path / "again.csv").write_text(model.document[1])
    assert hw_models.load(tmp_path / "again.csv").document == model.document


@pytest.mark.parametrize("key", ["weight_bits", "activation_bits"])
def test_widths_above_the_widest_measured_are_refused(model, key):
    with pytest.raises(
        HardwareError, match=f"^board: {key}: layer 'fc' was measured up to 8, 16 are asked for; add rows"
    ):
        _costs(model, **{key: 16})


def test_only_what_is_known_is_told(model):
    (layer,) = model.cost(SPECS, {"fc": LayerChoice()}).layers
    assert layer.energy_pj == {"measured": pytest.approx(20e6)}
    assert (layer.bound, layer.utilisation, layer.traffic_words) == ("", None, {})
    assert (layer.macs, layer.stored_weight_bits) == (640, 640 * 8)


def test_a_table_may_be_given_a_name(model, tmp_path):
    assert hw_models.load(tmp_path / "board.csv", "my board").name == "my_board"


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
        (HEAD + "fc,4,8,1,x,10\n", r"line 2: every column but layer and granularity needs a number"),
        (HEAD + "fc,4,8,1,-1,10\n", r"line 2: numbers must be finite and not negative"),
        (
            HEAD + ROWS + "fc,2,8,1,1,1\n",
            r"layer 'fc': no row for weight_bits 2, activation_bits 8, keep_ratio 0.5, granularity filter; a",
        ),
        (HEAD + "fc,8,8,0.5,1,1\n", r"layer 'fc': no row for weight_bits 8, activation_bits 8, keep_ratio 1, "),
        (HEAD + "fc,4.5,8,1,1,1\n", r"layer 'fc': widths must be whole bits from 1 to 64"),
        (HEAD + "fc,8,8,1,1,1\nfc,8,8,50,1,1\n", r"layer 'fc': keep ratios must be above 0 and at most 1"),
        (
            HEAD.replace("\n", ",granularity\n") + "fc,8,8,0.5,1,1,elements\n",
            r"line 2: 'elements' is no granularity of keep ratio 0.5; choose from element, n:m",
        ),
        (HEAD.replace("\n", ",granularity\n") + "fc,8,8,0.5,1,1,none\n", r"line 2: 'none' is no granularity of keep"),
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
    choices = {"fc": LayerChoice(weight_bits=5, granularity="filter", keep_ratio=0.8)}
    assert again.cost(SPECS, choices).energy_uj == model.cost(SPECS, choices).energy_uj
    assert again.description.confidence == "measured"


def test_a_table_as_spreadsheets_save_it(model, tmp_path):
    (tmp_path / "BOARD.CSV").write_bytes(b"\xef\xbb\xbf" + model.document[1].encode())
    assert hw_models.load(tmp_path / "BOARD.CSV").document[1] == model.document[1]
