"""docs/table.md: the rows as tables for readers."""

from collections.abc import Iterator, Sequence
from statistics import mean, stdev

from benchmarks.results.plan import HARDWARE, METHODS, REPAIRS, UNREPAIRED
from benchmarks.results.rows import Row
from benchmarks.results.subjects import NETWORKS

_MAIN = METHODS[0]
_INTRODUCTION = """\
# The results table

`python -m benchmarks.results` ran these searches and wrote this page from `benchmarks/results.csv`, where the policy of
every row is; with `--check` it computes rows drawn by chance anew. Savings are percent against the same network, dense
at 8 bits (and at 16 bits, where the accelerator has that width), on the same accelerator model
([hardware.md](hardware.md)). One search serves all the drops allowed; policies are chosen on training images, and what
they lose on the test images is given with its 95 % interval. Minutes are wall-clock of a search by one process, of its
last part where it was interrupted. Over several seeds figures are means, with the standard deviation of the energy
saved, and means over networks leave out those without a policy; those of t1 and t2 are over different networks. Every
second search image that has a class is moved a little (`search=moved`, see [experiments.md](experiments.md)). Searches
have 200 evaluations, those of the networks for ImageNet 100. `val1300` are 1,300 images of ImageNet's validation set,
an easier part of it than average, so that only the drops say something. The networks for ImageNet are searched with
750 images beside 250 for calibration, VDSR with 72 and 24 squares of photographs.
"""


def page(rows: Sequence[Row], pictures: Sequence[str]) -> str:
    """The whole page.

    Args:
        rows: of the table.
        pictures: accelerators that have a picture, see `picture_name`.
    """
    lines = [_INTRODUCTION]
    for hardware in HARDWARE:
        own = [row for row in rows if row.hardware == hardware]
        if own:
            lines += [f"## {hardware}\n"]
            if hardware in pictures:
                lines += [f"![Energy against what is lost on test images, repair t1]({picture_name(hardware)})\n"]
            lines += [*_dense(own), "", *_by_repair(own)]
    return "\n".join(lines).rstrip() + "\n"


def picture_name(hardware: str) -> str:
    """File name of an accelerator's picture, beside the page."""
    return f"table_{hardware}.svg"


def _by_repair(rows: Sequence[Row]) -> Iterator[str]:
    for repair in REPAIRS:
        own = [row for row in rows if row.repair == repair]
        if own:
            yield f"### Repair {repair}\n"
            yield from _policies([row for row in own if row.method == _MAIN])
            yield from _methods([*own, *(row for row in rows if row.repair == UNREPAIRED)])


def _dense(rows: Sequence[Row]) -> Iterator[str]:
    """The networks before compression."""
    yield from _head(
        "dense network", "images", "top-1 or PSNR", "energy, uJ", "latency, ms", "weights, kB", "10^9 bit operations"
    )
    for row in {row.network: row for row in rows}.values():
        figures = ("energy_uj", "latency_ms", "weights_kb", "gbops")
        cells = (" / ".join(_number(getattr(row, f"{key}_{bits}bit")) for bits in (8, 16)) for key in figures)
        yield _line(row.network, row.images, f"{row.metric_test:.2f}", *cells)


def _policies(rows: Sequence[Row]) -> Iterator[str]:
    """What the composite agent's policies save."""
    if not rows:
        return
    yield f"Method `{_MAIN}`:\n"
    titles = ("energy saved, %", "against 16 bits", "latency", "weights", "bit operations")
    yield from _head("network", "allowed", *titles, "lost on test", "goal met on test", "minutes")
    for (network, goal), own in _grouped(rows).items():
        saved = (_saved(own, "energy_uj"), _saved(own, "energy_uj", "_16bit"))
        saved += tuple(_saved(own, figure) for figure in ("latency_ms", "weights_kb", "gbops"))
        minutes = f"{mean(row.minutes for row in own):.0f}"
        yield _line(network, _allowed(own[0], goal), *saved, _lost(own), _met(own), minutes)
    for goal in sorted({row.goal for row in rows if row.metric != "psnr"}):
        own = [row for row in rows if row.goal == goal and row.metric != "psnr"]
        networks = [group for group in _grouped(own).values() if any(row.policy for row in group)]
        means = [mean(value for row in group if (value := row.saved("energy_uj")) is not None) for group in networks]
        if len(means) > 1:
            yield _line(f"**mean of {len(means)}**", _allowed(own[0], goal), f"**{mean(means):.1f}**", *[""] * 7)
    yield ""


def _methods(rows: Sequence[Row]) -> Iterator[str]:
    """Energy saved by every method."""
    methods = [method for method in METHODS if any(row.method == method for row in rows)]
    if methods == [_MAIN]:
        return
    unrepaired = any(row.repair == UNREPAIRED for row in rows)
    note = "; balaskas2023, the published recipe, repairs nothing" if unrepaired else ""
    yield f"Energy saved by every method, % (in brackets what its policy loses on test images{note}):\n"
    yield from _head("network", "allowed", *methods)
    for (network, goal), own in _grouped(rows).items():
        cells = ([row for row in own if row.method == method] for method in methods)
        texts = (f"{_saved(cell, 'energy_uj')} ({_mean_drop(cell)})" if _found(cell) else "-" for cell in cells)
        yield _line(network, _allowed(own[0], goal), *texts)
    yield ""


def _grouped(rows: Sequence[Row]) -> dict[tuple[str, float], list[Row]]:
    """(network, goal) -> rows, in the order of the networks."""
    groups: dict[tuple[str, float], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (list(NETWORKS).index(row.network), row.goal)):
        groups.setdefault((row.network, row.goal), []).append(row)
    return groups


def _found(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.policy]


def _saved(rows: Sequence[Row], figure: str, against: str = "_8bit") -> str:
    values = [value for row in rows if (value := row.saved(figure, against)) is not None]
    if not values:
        return "-"
    spread = f" ± {stdev(values):.1f}" if len(values) > 1 and (figure, against) == ("energy_uj", "_8bit") else ""
    return f"{mean(values):.1f}{spread}"


def _lost(rows: Sequence[Row]) -> str:
    found = _found(rows)
    if not found:
        return "-"
    interval = f" ± {found[0].interval:.2f}" if len(found) == 1 and found[0].interval is not None else ""
    return _mean_drop(found) + interval


def _mean_drop(rows: Sequence[Row]) -> str:
    return f"{mean(row.drop_test for row in rows if row.drop_test is not None):.2f}"


def _met(rows: Sequence[Row]) -> str:
    met = sum(row.met is True for row in rows)
    if len(rows) > 1:
        return f"{met} of {len(rows)} seeds"
    return "yes" if met else "no" if _found(rows) else "no policy"


def _allowed(row: Row, goal: float) -> str:
    return f"{goal:g} dB" if row.metric == "psnr" else f"{goal:g}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"


def _head(*titles: str) -> tuple[str, str]:
    return _line(*titles), "|" + "---|" * len(titles)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
