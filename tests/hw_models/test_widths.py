import pytest

from rlcompress import hw_models


@pytest.mark.parametrize(
    ("name", "bits", "count"), [("scalable_sparse_16x32", 2, 0), ("npu_int8", 2, 2), ("npu_int8", 8, 0)]
)
def test_fixed_widths_are_told(name, bits, count):
    told = hw_models.fixed_widths(hw_models.load(name), weight_bits=bits, activation_bits=bits)
    assert len(told) == count
    assert all(name in line for line in told)


def test_each_operand_is_told_on_its_own():
    (line,) = hw_models.fixed_widths(hw_models.load("npu_int8"), weight_bits=4, activation_bits=8)
    assert line.startswith("npu_int8 computes with weights of 8 bits and more: fewer saves")


@pytest.fixture
def table(tmp_path):
    rows = "fc,4,8,1,2,2\nfc,8,8,1,3,3\nfc,4,8,0.5,1,1\nfc,8,8,0.5,2,2\n"
    path = tmp_path / "board.csv"
    path.write_text("layer,weight_bits,activation_bits,keep_ratio,latency_ms,energy_uj\n" + rows)
    return hw_models.load(path)


def test_widths_that_were_not_measured_are_told(table):
    (line,) = hw_models.fixed_widths(table, weight_bits=2, activation_bits=8)
    assert line == "board was measured with weights of 4 bits and more: fewer saves nothing"


def test_prunings_that_were_not_measured_are_told(table):
    wanted = [("none", 1.0), ("element", 0.9), ("filter", 0.5), ("channel", 0.6), ("channel", 0.4)]
    assert hw_models.unmeasured(table, wanted) == [
        "board has no rows for 'element' pruning, which saves nothing: leave it out, or measure it",
        "board was measured with 'channel' keep ratios of 0.5 and more: less saves nothing",
    ]
    assert hw_models.unmeasured(hw_models.load("npu_int8"), wanted) == []
