"""SCALE-Sim's systolic arrays and NVDLA's performance sheet and primer."""

import re
from pathlib import Path

from benchmarks.hardware.row import Row, figures_of, read, with_batch
from benchmarks.networks.classic import resnet
from rlcompress.hw_models import HardwareModel, load
from rlcompress.hw_models.figures import LEVELS
from rlcompress.spec import LayerSpec

DRAM = LEVELS.index("DRAM")


def rows(reference: Path) -> list[Row]:
    """All checks of the systolic arrays and NVDLA."""
    return scalesim_rows(reference) + sheet_rows(reference) + primer_rows(reference)


def scalesim_rows(reference: Path) -> list[Row]:
    """Stall-free cycles of 23 runs on four arrays."""
    out = []
    for row in read(reference, "peer_simulator_layers"):
        if not row["tool"].startswith("scalesim"):
            continue
        dataflow, size = re.match(r"(WS|OS) (\d+x\d+)", row["architecture"]).groups()  # type: ignore[union-attr]
        name = f"systolic_{dataflow.lower()}"
        description = load(name).description
        side = dict(zip(("rows", "columns"), map(int, size.split("x")), strict=True))
        model = HardwareModel(description.model_copy(update={"array": description.array.model_copy(update=side)}))
        spec = _scalesim_layer(row["network"], row["layer"])
        ours = float(figures_of(model, (spec,)).compute_cycles[0])
        out.append(Row(name, f"{size} {spec.name} cycles", float(row["cycles"]), ours, 0))
    return out


ALEXNET = {"conv1": (3, 96, 227, 55, 11, 4), "conv2": (48, 256, 31, 27, 5, 1), "conv3": (256, 384, 15, 13, 3, 1)}
ALEXNET |= {"conv4": (192, 384, 15, 13, 3, 1), "conv5": (192, 256, 15, 13, 3, 1)}
# SCALE-Sim rounds output sizes up, so strided layers have one row and column more.
RESNET20 = {"conv1 3->16 32x32": (3, 16, 34, 32, 3, 1), "16->16 32x32": (16, 16, 34, 32, 3, 1)}
RESNET20 |= {"16->32 s2": (16, 32, 34, 17, 3, 2), "32->32 16x16": (32, 32, 18, 16, 3, 1)}
RESNET20 |= {"32->64 s2": (32, 64, 18, 9, 3, 2), "64->64 8x8": (64, 64, 10, 8, 3, 1)}


def _scalesim_layer(network: str, layer: str) -> LayerSpec:
    shapes = ALEXNET if network == "alexnet" else RESNET20
    c, k, size, out, r, stride = shapes[layer.split("(", maxsplit=1)[0] if network == "alexnet" else layer]
    return LayerSpec(
        name=layer,
        kind="conv",
        out_channels=k,
        in_channels=c,
        in_height=size,
        in_width=size,
        out_height=out,
        out_width=out,
        kernel_height=r,
        kernel_width=r,
        stride=stride,
    )


def sheet_rows(reference: Path) -> list[Row]:
    """MAC cycles of ResNet-50's layers in the sheet's configuration: 2,048 MACs, Winograd."""
    description = load("nvdla_2048").description
    array = description.array.model_copy(update={"winograd": True})
    model = HardwareModel(description.model_copy(update={"array": array}))
    out = []
    for row in read(reference, "nvdla_resnet50_layers"):
        if not row["C"]:
            continue
        ours = float(figures_of(model, (_sheet_layer(row),)).compute_cycles[0])
        label = f"sheet {row['layer'].split()[0]} MAC cycles"
        out.append(Row("nvdla_2048", label, float(row["mac_cycles(winograd)"]), ours, 0))
    return out


def _sheet_layer(row: dict[str, str]) -> LayerSpec:
    size = {key: int(row[key]) for key in ("C", "H", "W", "K", "R", "S", "stride")}
    return LayerSpec(
        name=row["layer"],
        kind="linear" if row["type"] == "fc" else "conv",
        out_channels=size["K"],
        in_channels=size["C"],
        in_height=size["H"],
        in_width=size["W"],
        out_height=-(-size["H"] // size["stride"]),
        out_width=-(-size["W"] // size["stride"]),
        kernel_height=size["R"],
        kernel_width=size["S"],
        stride=size["stride"],
    )


def primer_rows(reference: Path) -> list[Row]:
    """Frames a second and average power on ResNet-50 for four configurations."""
    out = []
    specs = resnet((3, 4, 6, 3), first_stride_on_3x3=False)
    for row in read(reference, "nvdla_primer_resnet50"):
        model = with_batch(f"nvdla_{row['macs_int8']}", 16)  # of the fully connected layer, as in the sheet
        figures = figures_of(model, specs)
        fps = 1e9 / float(figures.cycles.sum())
        energy = float(figures.energy_pj.sum() - figures.energy_pj[DRAM].sum())
        out.append(Row(model.name, "ResNet-50 frames/s", float(row["resnet50_fps"]), fps, 4))
        out.append(Row(model.name, "ResNet-50 average mW", float(row["avg_mW_16nm"]), energy * fps * 1e-9, 20))
    return out
