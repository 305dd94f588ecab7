"""Hold every hardware description against published figures.

    python -m benchmarks.hardware --reference ../shared/hw_reference [--summary]

Prints the published figure, ours, the error and the tolerance; exits 1 if a tolerance is missed.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.hardware import bitfusion, consistency, edgetpu, eyeriss, simulators, sparsity, tiny
from benchmarks.hardware.row import Row

FAMILIES = (eyeriss, bitfusion, simulators, edgetpu, tiny, sparsity, consistency)


def main() -> int:
    """Run all checks; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hardware", description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, default=Path("../shared/hw_reference"))
    parser.add_argument("--summary", action="store_true", help="only the worst row of each kind of check")
    arguments = parser.parse_args()
    if not arguments.reference.is_dir():
        print(f"{arguments.reference}: no such folder; give the folder of the reference CSVs", file=sys.stderr)
        return 2
    rows = [row for family in FAMILIES for row in family.rows(arguments.reference)]
    print(f"{'description':22} {'figure':44} {'published':>12} {'ours':>12} {'error %':>8} {'tolerance %':>11}")
    for row in rows if not arguments.summary else worst(rows):
        print(line(row))
    missed = [row for row in rows if row.missed]
    checked = [row for row in rows if row.tolerance_pct is not None]
    print(f"{len(checked) - len(missed)} of {len(checked)} checks within tolerance, {len(missed)} missed")
    return 1 if missed else 0


def line(row: Row) -> str:
    """A row as a line of the table."""
    tolerance = "-" if row.tolerance_pct is None else f"{row.tolerance_pct:g}"
    mark = "  MISSED" if row.missed else ""
    figures = f"{row.published:12.6g} {row.ours:12.6g} {row.error_pct:8.2f} {tolerance:>11}"
    return f"{row.description:22} {row.figure:44} {figures}{mark}"


def worst(rows: list[Row]) -> list[Row]:
    """The row with the largest error of each description, unit and tolerance."""
    kinds: dict[tuple[str, str, float | None], Row] = {}
    for row in rows:
        key = (row.description, row.figure.split()[-1], row.tolerance_pct)
        if key not in kinds or abs(row.error_pct) > abs(kinds[key].error_pct):
            kinds[key] = row
    return list(kinds.values())


if __name__ == "__main__":
    sys.exit(main())
