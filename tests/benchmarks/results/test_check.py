from benchmarks.results.check import differences, drawn
from benchmarks.results.plan import chosen
from tests.benchmarks.results.conftest import MakeRow


def test_rows_are_drawn_among_those_with_a_policy(make_row: MakeRow, make_missing: MakeRow) -> None:
    rows = [*(make_row(seed=seed, goal=goal) for seed in (0, 1) for goal in (0.5, 1.0)), make_missing(method="dp")]
    assert len(drawn(rows, chosen(), 9, seed=0)) == 4
    assert drawn(rows, chosen(), 3, seed=1) == drawn(rows, chosen(), 3, seed=1)
    assert {row.seed for row in drawn(rows, chosen(seeds=[1]), 3, seed=0)} == {1}


def test_costs_come_out_again_and_drops_within_a_standard_error(make_row: MakeRow) -> None:
    row = make_row()
    assert differences(row, row) == []
    assert differences(row, make_row(energy_uj=1.00001, drop_test=0.9, metric_test=91.72)) == []
    assert differences(row, make_row(energy_uj=1.01)) == ["energy_uj 1.0, now 1.01"]
    assert differences(row, make_row(drop_test=1.1)) == ["drop_test 0.8, now 1.1"]
