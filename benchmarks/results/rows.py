"""Rows of the table: what a search found for one goal, read from its run folder; and the CSV file of all of them."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from benchmarks.results.plan import Cell
from benchmarks.results.policies import to_text
from benchmarks.results.subjects import NETWORKS
from rlcompress.errors import RunError, first_problem
from rlcompress.files import LimitError, read_text, reason
from rlcompress.hw_models import NetworkCost
from rlcompress.report.costs import Costs
from rlcompress.report.records import Entry
from rlcompress.report.run_folder import RunData, read_run
from rlcompress.spec import CompressionPolicy

COSTS = {"energy_uj": "energy_uj", "latency_ms": "latency_ms", "weights_kb": "weights_kb", "gbops": "bops"}
"""Column -> attribute of `NetworkCost`."""

BASELINES = {"_8bit": "dense", "_16bit": "reference"}
"""End of a column -> attribute of `Costs`."""

_MAX_CSV_BYTES = 50_000_000
_Z95 = 1.959964

_EMPTY = BeforeValidator(lambda value: None if value == "" else value)

Figure = Annotated[float | None, _EMPTY]


class Row(BaseModel):
    """What one search found for one goal; its figures are None where no policy was within the goal.

    Energies are in microjoules, latencies in milliseconds, weights in kB of 1,024 bytes, operations in 10^9 bit
    operations; metrics and drops in points or dB; errors are standard errors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    images: str
    hardware: str
    repair: str
    method: str
    seed: int
    goal: float
    evaluations: int
    minutes: float
    metric: str
    metric_test: float
    energy_uj_8bit: float
    latency_ms_8bit: float
    weights_kb_8bit: float
    gbops_8bit: float
    energy_uj_16bit: Figure = None
    latency_ms_16bit: Figure = None
    weights_kb_16bit: Figure = None
    gbops_16bit: Figure = None
    energy_uj: Figure = None
    latency_ms: Figure = None
    weights_kb: Figure = None
    gbops: Figure = None
    drop_search: Figure = None
    drop_search_error: Figure = None
    drop_test: Figure = None
    drop_test_error: Figure = None
    images_test: Annotated[int | None, _EMPTY] = None
    policy: str = ""

    @property
    def cell(self) -> Cell:
        """The search."""
        return Cell(self.network, self.hardware, self.repair, self.method, self.seed)

    @property
    def met(self) -> bool | None:
        """Whether the test images agree that the goal was met; None where the search found no policy for it."""
        return None if self.drop_test is None else self.drop_test <= self.goal

    @property
    def interval(self) -> float | None:
        """Half of the 95 % interval of the drop on test images."""
        return None if self.drop_test_error is None else _Z95 * self.drop_test_error

    def saved(self, figure: str, against: str = "_8bit") -> float | None:
        """Percent saved of a column of `COSTS` against a dense network; None where either is not known."""
        now, before = getattr(self, figure), getattr(self, figure + against)
        return None if now is None or before is None else 100.0 * (1.0 - now / before)


def rows_of(cell: Cell, run: str | Path) -> list[Row]:
    """The rows of a finished search, one a goal.

    Raises:
        RunError: the run folder is damaged, or its search is not finished.
    """
    data = read_run(run)
    if data.result is None:
        raise RunError(f"{run} holds no finished search")
    head: dict[str, Any] = {
        **vars(cell),
        "images": cell.tested.images,
        "evaluations": data.result.evaluations,
        "minutes": round(data.result.seconds / 60, 1),
        "metric": data.run.metric.name,
        "metric_test": data.result.baseline.metric_test,
        **baseline_figures(Costs.of(data.specs, data.hardware)),
    }
    goals = sorted(cell.tested.goals)
    found = {goal: data.result.best_by_goal.get(f"{goal:g}") for goal in goals}
    return [_row(head, goal, entry, data) for goal, entry in found.items()]


def baseline_figures(costs: Costs) -> dict[str, float]:
    """Columns of the dense networks."""
    networks = {end: getattr(costs, name) for end, name in BASELINES.items()}
    return {
        f"{column}{end}": value
        for end, cost in networks.items()
        if cost is not None
        for column, value in cost_figures(cost).items()
    }


def cost_figures(cost: NetworkCost) -> dict[str, float]:
    """Columns of a network's cost."""
    figures = {column: getattr(cost, name) for column, name in COSTS.items()}
    return figures | {"gbops": figures["gbops"] * 1e-9}


def _row(head: dict[str, Any], goal: float, entry: Entry | None, data: RunData) -> Row:
    if entry is None:
        return _rounded(Row(**head, goal=goal))
    policy = CompressionPolicy.load(data.path / "front" / f"{entry.id}.json")
    drops = ("drop_search", "drop_search_error", "drop_test", "drop_test_error", "images_test")
    figures = cost_figures(data.hardware.cost(data.specs, policy.choices))
    found = {**figures, **{name: getattr(entry, name) for name in drops}}
    return _rounded(Row(**head, goal=goal, **found, policy=to_text(policy.choices.values())))


def _rounded(row: Row) -> Row:
    """Figures with six digits."""
    return row.model_copy(update={key: digits(value) for key, value in row if isinstance(value, float)})


def digits(value: float) -> float:
    """What the file keeps of a figure.

    >>> digits(89.4712345)
    89.4712
    """
    return float(f"{value:.6g}")


def to_csv(rows: Sequence[Row]) -> str:
    """The rows as comma-separated values with a head."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Row.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in rows)
    return text.getvalue()


def rows_by_cell(rows: Iterable[Row]) -> dict[Cell, list[Row]]:
    """The rows of each search."""
    found: dict[Cell, list[Row]] = {}
    for row in rows:
        found.setdefault(row.cell, []).append(row)
    return found


def read_csv(path: str | Path) -> list[Row]:
    """The rows of a file that `to_csv` wrote.

    Raises:
        RunError: it cannot be read, or a row is damaged or of an unknown network.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path, _MAX_CSV_BYTES))))
        parsed = TypeAdapter(list[Row]).validate_python(rows)
    except (OSError, LimitError) as error:
        raise RunError(f"{path}: {reason(error)}; give a file that this command wrote with --csv") from None
    except (ValidationError, csv.Error) as error:
        said = first_problem(error) if isinstance(error, ValidationError) else error
        raise RunError(f"{path} is damaged ({said}); write it again with --csv") from None
    for row in parsed:
        if row.network not in NETWORKS:
            raise RunError(f"{path}: unknown network {row.network!r}; choose from {', '.join(NETWORKS)}")
    return parsed
