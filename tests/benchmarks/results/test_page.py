from pathlib import Path

from benchmarks.results.files import write_files
from benchmarks.results.page import page
from tests.benchmarks.results.conftest import MakeRow


def lines(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


def test_a_line_says_what_is_saved_and_whether_the_goal_was_met(make_row: MakeRow, make_missing: MakeRow) -> None:
    text = page([make_row(), make_row(goal=0.5, drop_test=0.6), make_missing(goal=1.7)], [])
    dense, half, one, more = lines(text, "| cifar_resnet20 |")
    assert dense == "| cifar_resnet20 | cifar10 | 91.73 | 2 / 4 | 2 / 4 | 2 / 4 | 2 / 4 |"
    assert half == "| cifar_resnet20 | 0.5 | 50.0 | 75.0 | 50.0 | 50.0 | 50.0 | 0.60 ± 0.39 | no | 10 |"
    assert one == "| cifar_resnet20 | 1 | 50.0 | 75.0 | 50.0 | 50.0 | 50.0 | 0.80 ± 0.39 | yes | 10 |"
    assert more == "| cifar_resnet20 | 1.7 | - | - | - | - | - | - | no policy | 10 |"


def test_seeds_are_averaged_and_methods_stand_side_by_side(make_row: MakeRow, make_missing: MakeRow) -> None:
    rows = [make_row(), make_row(seed=1, energy_uj=0.8, drop_test=1.2), make_missing(method="dp")]
    text = page(rows, [])
    _, composite, methods = lines(text, "| cifar_resnet20 |")
    assert "| 55.0 ± 7.1 | 77.5 |" in composite
    assert "| 1.00 | 1 of 2 seeds |" in composite
    assert methods == "| cifar_resnet20 | 1 | 55.0 ± 7.1 (1.00) | - |"


def test_what_repairs_nothing_stands_beside_every_tier(make_row: MakeRow) -> None:
    text = page([make_row(), make_row(repair="t2"), make_row(repair="none", method="balaskas2023", energy_uj=1.5)], [])
    assert text.count("repairs nothing") == 2
    assert text.count("| cifar_resnet20 | 1 | 50.0 (0.80) | 25.0 (0.80) |") == 2


def test_means_are_over_networks_that_lose_points(make_row: MakeRow) -> None:
    rows = [make_row(), make_row(network="mobilenet_v2", energy_uj=0.6), make_row(network="vdsr", metric="psnr")]
    (line,) = lines(page(rows, []), "| **mean of")
    assert line.startswith("| **mean of 2** | 1 | **60.0** |")
    assert "| vdsr | 1 dB |" in page(rows, [])


def test_files_have_a_picture_an_accelerator(make_row: MakeRow, tmp_path: Path) -> None:
    write_files([make_row(), make_row(hardware="npu_int8")], tmp_path / "a" / "rows.csv", tmp_path / "table.md")
    text = (tmp_path / "table.md").read_text()
    for hardware in ("scalable_sparse_16x32", "npu_int8"):
        assert f"## {hardware}" in text
        assert (tmp_path / f"table_{hardware}.svg").read_text().startswith("<?xml")
    assert "bitfusion" not in text
    assert (tmp_path / "a" / "rows.csv").exists()
