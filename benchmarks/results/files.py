"""From run folders to the CSV file, the page and its pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.results.page import page, picture_name
from benchmarks.results.pictures import picture
from benchmarks.results.plan import HARDWARE, REPAIRS, UNREPAIRED, Cell
from benchmarks.results.rows import Row, rows_of, to_csv
from rlcompress.files import write_atomic
from rlcompress.sweeps.job import RUN, is_done


def collected(folders: Mapping[Cell, Path], before: Mapping[Cell, Sequence[Row]]) -> list[Row]:
    """The rows of every finished search.

    Args:
        folders: of the sweep's jobs.
        before: rows of searches whose folders may be gone.

    Raises:
        RunError: a run folder is damaged.
    """
    return [
        row
        for cell, folder in folders.items()
        for row in (rows_of(cell, folder / RUN) if is_done(folder) else before.get(cell, ()))
    ]


def write_files(rows: Sequence[Row], csv: Path, table: Path) -> None:
    """Write the CSV file and the page, with a picture an accelerator of its leading tier of repair beside the page."""
    for folder in (csv.parent, table.parent):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomic(csv, to_csv(rows))
    pictures = [name for name in HARDWARE if any(row.hardware == name and row.metric != "psnr" for row in rows)]
    write_atomic(table, page(rows, pictures))
    for hardware in pictures:
        own = [row for row in rows if row.hardware == hardware]
        leading = next((repair for repair in REPAIRS if any(row.repair == repair for row in own)), UNREPAIRED)
        _save([row for row in own if row.repair in (leading, UNREPAIRED)], table.parent / picture_name(hardware))


def _save(rows: Sequence[Row], path: Path) -> None:
    with mpl.rc_context({"font.size": 8, "svg.hashsalt": "rlcompress"}):
        picture(rows).savefig(path, metadata={"Date": None})
