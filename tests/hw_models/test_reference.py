"""Every row of the reference tables, where they are present."""

import pytest

from benchmarks.hardware import bitfusion, consistency, edgetpu, eyeriss, simulators, sparsity, tiny


@pytest.mark.parametrize("family", [bitfusion, consistency, edgetpu, eyeriss, simulators, sparsity, tiny])
def test_rows_are_within_tolerance(family, reference):
    rows = family.rows(reference)
    assert rows
    assert not [row.figure for row in rows if row.missed]
