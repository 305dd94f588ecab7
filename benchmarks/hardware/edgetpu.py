"""Edge TPU: Coral's published latencies over USB 3."""

from pathlib import Path

from benchmarks.hardware.row import Row, figures_of, read
from benchmarks.networks.edge import NETWORKS
from rlcompress.hw_models import load


def rows(reference: Path) -> list[Row]:
    """Latency of nine networks; the host's share (SSD's box selection) is not in the model."""
    model = load("edgetpu_like")
    out = []
    for row in read(reference, "edge_tpu_latency"):
        figures = figures_of(model, NETWORKS[row["network"]]())
        latency = float(figures.cycles.sum()) / model.description.clock_mhz * 1e-3
        out.append(Row(model.name, f"{row['network']} ms", float(row["usb3_ms"]), latency, 20))
    return out
