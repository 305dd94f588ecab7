"""The table of costs that ``energy`` prints."""

from rich.table import Table

from rlcompress.hw_models import LEVELS, NetworkCost


def layer_costs(cost: NetworkCost) -> Table:
    """Energy by level and cycles of every operator."""
    levels = [level for level in LEVELS if cost.energy_pj[level] > 0]
    table = Table("layer", "bits w/a", "density", "MACs", "cycles", "bound", "util", *levels, "uJ", title=cost.hardware)
    for layer in cost.layers:
        table.add_row(
            layer.name,
            f"{layer.weight_bits}/{layer.activation_bits}",
            f"{layer.weight_density:.2f}",
            f"{layer.macs:,.0f}",
            f"{layer.cycles:,.0f}",
            layer.bound,
            f"{layer.utilisation:.0%}",
            *(f"{layer.energy_pj[level] * 1e-6:.3f}" for level in levels),
            f"{layer.total_pj * 1e-6:.3f}",
        )
    totals = [f"{cost.energy_pj[level] * 1e-6:.3f}" for level in levels]
    table.add_section()
    table.add_row(
        "total", "", "", f"{cost.macs:,.0f}", f"{cost.cycles:,.0f}", f"{cost.latency_ms:.4f} ms", "", *totals,
        f"{cost.energy_uj:.3f}",
    )  # fmt: skip
    return table
