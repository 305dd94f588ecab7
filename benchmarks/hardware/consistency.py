"""The two estimates, held against descriptions that were checked."""

from pathlib import Path

import numpy as np

from benchmarks.hardware.row import Row, figures_of
from benchmarks.networks.bitfusion import NETWORKS
from benchmarks.networks.classic import resnet
from benchmarks.networks.tiny import TINY
from rlcompress.hw_models import HardwareModel, load
from rlcompress.hw_models.figures import LEVELS


def rows(_: Path) -> list[Row]:
    """Consistency of the headline presets."""
    return sparse_rows() + npu_rows()


def sparse_rows() -> list[Row]:
    """scalable_sparse_16x32 at density 1 against bitfusion_16x32: cycles, MAC energy, and all of it once set alike."""
    fusion, sparse = load("bitfusion_16x32"), load("scalable_sparse_16x32")
    same = ("traffic", "writeback", "fuse", "residency", "static", "storage")
    alike = HardwareModel(sparse.description.model_copy(update={key: getattr(fusion.description, key) for key in same}))
    out = []
    for network, make in NETWORKS.items():
        specs, widths = make()
        base, ours, set_alike = (figures_of(model, specs, widths) for model in (fusion, sparse, alike))
        mac = LEVELS.index("MAC")
        label = f"{network} dense"
        out.append(Row(sparse.name, f"{label} cycles", base.compute_cycles.sum(), ours.compute_cycles.sum(), 0))
        out.append(Row(sparse.name, f"{label} MAC pJ", base.energy_pj[mac].sum(), ours.energy_pj[mac].sum(), 0))
        out.append(Row(sparse.name, f"{label} pJ set alike", base.energy_pj.sum(), set_alike.energy_pj.sum(), 0))
    return out


def npu_rows() -> list[Row]:
    """npu_int8 at 8 bits against NVDLA with as many MACs (layers without stride), and beside Ethos-U55 (to inform)."""
    specs = resnet((3, 4, 6, 3))
    nvdla, ours = (figures_of(load(name), specs).compute_cycles for name in ("nvdla_256", "npu_int8"))
    chosen = np.array([s.kind == "conv" and s.stride == 1 for s in specs])
    rows = [Row("npu_int8", "ResNet-50 stride 1 cycles", float(nvdla[chosen].sum()), float(ours[chosen].sum()), 0)]
    for name, make in TINY.items():
        tiny = make()
        layers = [i for i, spec in enumerate(tiny) if spec.compressible]
        ethos, npu = (
            figures_of(load(model), tiny).compute_cycles[layers].sum() for model in ("ethosu55_256", "npu_int8")
        )
        rows.append(Row("npu_int8", f"{name} cycles beside ethosu55_256", float(ethos), float(npu), None))
    return rows
