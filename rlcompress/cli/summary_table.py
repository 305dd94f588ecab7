"""The table that a search ends with."""

from rich.table import Table

from rlcompress.searches.result import SearchResult


def summary(result: SearchResult) -> Table:
    """Baseline against best policy."""
    table = Table("", "energy uJ", "latency ms", "saved", "top-1 search", "top-1 test", title=_title(result))
    best = result.best.figures
    rows = [("dense 16 bits", result.reference), ("dense 8 bits", result.baseline), ("best policy", best)]
    for name, figures in rows:
        saved = 100.0 * (1.0 - figures.energy_uj / result.baseline.energy_uj)
        table.add_row(
            name,
            f"{figures.energy_uj:.2f}",
            f"{figures.latency_ms:.4f}",
            f"{saved:.1f} %",
            f"{figures.metric_search:.2f}",
            f"{figures.metric_test:.2f}",
        )
    table.caption = (
        f"points lost: {result.best.drop_search:.2f} on search images, {result.best.drop_test:.2f} on "
        f"{result.best.images_test} test images; top-1 of dense rows is the pretrained network's own"
    )
    return table


def _title(result: SearchResult) -> str:
    return f"{result.network} on {result.hardware}: {result.evaluations} evaluations, {result.seconds:.0f} s"
