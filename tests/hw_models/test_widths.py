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


def test_measured_tables_say_nothing(tmp_path):
    table = tmp_path / "board.csv"
    table.write_text("layer,weight_bits,activation_bits,keep_ratio,latency_ms,energy_uj\nfc,8,8,1,1,1\n")
    assert hw_models.fixed_widths(hw_models.load(table), weight_bits=2, activation_bits=2) == []
