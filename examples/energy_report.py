"""What an uncompressed network of your own costs on several accelerators: a table, and a page for one of them.

python examples/energy_report.py
"""

from pathlib import Path

import torch
from torch import nn

import rlcompress as rlc
from rlcompress.report import energy_report
from rlcompress.spec import LayerChoice

NETWORK = nn.Sequential(
    nn.Conv2d(3, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
    nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.BatchNorm2d(32), nn.ReLU(),
    nn.Conv2d(32, 64, 1), nn.BatchNorm2d(64), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
)  # fmt: skip


def main() -> None:
    """Cost the network at 8 bits; nothing is trained and no image is looked at."""
    specs = rlc.trace(NETWORK, torch.zeros(1, 3, 96, 96), name="small").specs
    dense = {spec.name: LayerChoice() for spec in specs if spec.compressible}
    for name in ("scalable_sparse_16x32", "bitfusion_16x32", "npu_int8", "ethosu55_128"):
        hardware = rlc.hw_models.load(name)
        cost = hardware.cost(specs, dense)
        print(f"{name}: {cost.energy_uj:.1f} uJ, {cost.latency_ms:.3f} ms ({hardware.description.confidence})")
    page = energy_report("small", specs, rlc.hw_models.load("npu_int8"), dense)
    Path("small.html").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
