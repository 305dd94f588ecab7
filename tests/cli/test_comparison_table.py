from rich.console import Console

from rlcompress.cli.comparison_table import comparison_table

_NAMES = ("energy_uj", "saved_pct", "drop_search", "drop_test", "hypervolume", "evaluations", "seconds")


def test_a_spread_that_rounds_to_nothing_is_left_out() -> None:
    row = {"agent": "dp", "seeds": 2, "found": 2, **dict.fromkeys(_NAMES, 0.26)}
    row |= {**{f"{name}_std": 0.0 for name in _NAMES}, "seconds_std": 0.04, "saved_pct_std": 0.2}
    console = Console(width=200)
    with console.capture() as shown:
        console.print(comparison_table([row], "at most 1 point lost", "M MAC"))
    text = shown.get()
    assert "at most 1 point lost" in text
    assert "energy M MAC" in text
    assert text.count("±") == 1
    assert "0.3 ± 0.2" in text
