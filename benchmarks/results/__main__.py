"""The results table: every network, accelerator, tier of repair, method and seed of it searched, or checked.

    python -m benchmarks.results --weights DIR --data DIR --out runs/results --quick
    python -m benchmarks.results --weights DIR --data DIR --out runs/results --networks cifar_resnet20 --repairs t1
    python -m benchmarks.results --weights DIR --data DIR --out runs/results --csv benchmarks/results.csv \
        --page docs/table.md
    python -m benchmarks.results --weights DIR --data DIR --csv benchmarks/results.csv --check

The folder of weights holds safetensors files, that of data the sets in their official formats: cifar-10-batches-bin,
cifar-100-binary, imagenet/{train,val}/CLASS and set5.npz. Searches run in the table's order, the most telling first,
each in a run folder of its own below --out; what is finished there, or has rows in the CSV file, is not searched again,
and an interrupted search goes on where it was. Two commands with different filters may share --out at the same time.
CSV, page and pictures are written at the end or at an interruption, of every search that --out or the CSV file holds;
a row goes by what --out holds. Remove the CSV file to search all anew. ``--quick``: two small
networks, one accelerator, one seed, few evaluations. ``--check`` computes rows drawn from the CSV file anew from the
policies in it, prints what differs, and exits with status 1 if anything does.
"""

import argparse
import random
import signal
import sys
from pathlib import Path

from benchmarks.results.check import differences, drawn, recomputed
from benchmarks.results.files import collected, write_files
from benchmarks.results.plan import HARDWARE, METHODS, REPAIRS, SEEDS, UNREPAIRED, Cell, chosen, whole_table
from benchmarks.results.rows import read_csv, rows_by_cell
from benchmarks.results.subjects import NETWORKS
from rlcompress.errors import RlcompressError
from rlcompress.sweeps import Job, check_jobs, run_jobs
from rlcompress.sweeps import Row as SearchRow

QUICK_NETWORKS = ("cifar_resnet8_stem64", "mlperf_tiny_resnet8")
QUICK_METHODS = ("composite", "uniform")
QUICK_EVALUATIONS = 20
_CHECKED = 3


def main() -> None:
    arguments = _parsed()
    try:
        sys.exit(_check(arguments) if arguments.check else _run(arguments))
    except RlcompressError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        sys.exit(130)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True, help="folder of safetensors files")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/results"), help="folder of the run folders")
    parser.add_argument("--csv", type=Path, help="file of all rows; OUT/results.csv by default")
    parser.add_argument("--page", type=Path, help="tables, with pictures beside; OUT/table.md by default")
    for name, choices in (
        ("networks", NETWORKS),
        ("hardware", HARDWARE),
        ("repairs", (*REPAIRS, UNREPAIRED)),
        ("methods", METHODS),
    ):
        parser.add_argument(f"--{name}", nargs="+", choices=list(choices), default=[], metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=[], metavar="N")
    parser.add_argument("--quick", action="store_true", help="a small part in ten minutes")
    parser.add_argument("--collect", action="store_true", help="search nothing: write the files from what is there")
    parser.add_argument("--check", action="store_true", help="compute rows of the CSV file anew")
    parser.add_argument("--draw", type=int, help="seed of the rows that --check draws; by chance if not given")
    return parser.parse_args()


def _cells(arguments: argparse.Namespace) -> list[Cell]:
    """The searches that are asked for."""
    filters = {name: getattr(arguments, name) for name in ("networks", "hardware", "repairs", "methods", "seeds")}
    if arguments.quick:
        quick = {
            "networks": QUICK_NETWORKS,
            "hardware": HARDWARE[:1],
            "repairs": REPAIRS[:1],
            "methods": QUICK_METHODS,
            "seeds": SEEDS[:1],
        }
        filters = {name: filters[name] or values for name, values in quick.items()}
    return chosen(**filters)


def _run(arguments: argparse.Namespace) -> int:
    """Search what is asked for and not finished, and write the files; 1 if a search has no result."""
    evaluations = QUICK_EVALUATIONS if arguments.quick else None

    def job_of(cell: Cell) -> Job:
        return cell.job(arguments.weights, arguments.data, evaluations)

    csv, table = arguments.csv or arguments.out / "results.csv", arguments.page or arguments.out / "table.md"
    before = rows_by_cell(read_csv(csv)) if csv.exists() else {}
    failed = False
    try:
        if not arguments.collect:
            jobs = [job_of(cell) for cell in _cells(arguments) if cell not in before]
            check_jobs(jobs)
            failed = any(row.error for row in run_jobs(jobs, arguments.out, on_row=_tell))
    finally:
        rows = collected({cell: arguments.out / job_of(cell).id for cell in whole_table()}, before)
        if rows:
            write_files(rows, csv, table)
            print(f"{len(rows)} rows: {csv}, {table}")
    return int(failed)


def _tell(row: SearchRow, known: int, total: int) -> None:
    found = f"failed: {row.error}" if row.error else f"{row.energy_saved_pct:.1f} % saved, {row.drop_test:.2f} lost"
    print(f"{known}/{total} {row.id}: {found}", flush=True)


def _check(arguments: argparse.Namespace) -> int:
    """Compute rows anew and print what differs; 1 if anything does."""
    seed = random.randrange(2**32) if arguments.draw is None else arguments.draw
    rows = read_csv(arguments.csv or arguments.out / "results.csv")
    wrong = 0
    print(f"rows drawn with --draw {seed}")
    for row in drawn(rows, _cells(arguments), _CHECKED, seed):
        again = recomputed(row, arguments.weights, arguments.data)
        said = differences(row, again)
        wrong += bool(said)
        name = f"{row.network} {row.hardware} {row.repair} {row.method} seed {row.seed} goal {row.goal:g}"
        figures = f"{again.energy_uj} uJ (recorded {row.energy_uj}), {again.drop_test} lost ({row.drop_test})"
        print(f"{name}: {figures}: {'; '.join(said) or 'the same'}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    for ending in (signal.SIGINT, signal.SIGTERM):  # a shell's background job begins with SIGINT ignored
        signal.signal(ending, signal.default_int_handler)
    main()
