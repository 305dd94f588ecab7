"""MLPerf Tiny on microcontrollers (measured) and Ethos-U55 (Vela's estimates)."""

from pathlib import Path

from benchmarks.hardware.row import Row, figures_of, read
from benchmarks.networks.tiny import TINY
from rlcompress.hw_models import load
from rlcompress.hw_models.figures import Figures
from rlcompress.spec import LayerSpec

DEVICES = {
    "cortex_m0p": ("v1.2", "NUCLEO_G0B1RE_int8"),
    "cortex_m4": ("v1.2", "NUCLEO_L4R5ZI"),
    "cortex_m33": ("v1.2", "NUCLEO_U575ZI_Q"),
    "cortex_m7": ("v1.2", "NUCLEO_H7A3ZI_Q"),
    "gap9_like": ("v1.0", "gap9_800_370"),
}
"""Description -> the round and system whose four networks its constants were fitted to."""

OPERATORS = {
    "Conv2D": "conv",
    "DepthwiseConv2D": "depthwise",
    "FullyConnected": "linear",
    "Add": "add",
    "AvgPool": "pool",
}
MODELS = {"resnet8": "ic", "kws": "kws", "ad": "ad"}


def rows(reference: Path) -> list[Row]:
    """All checks of the two families."""
    return microcontroller_rows(reference) + ethos_rows(reference)


def microcontroller_rows(reference: Path) -> list[Row]:
    """Latency and, where it was measured, energy of four networks."""
    table = read(reference, "mlperf_tiny")
    out = []
    for name, (version, system) in DEVICES.items():
        model = load(name)
        for row in table:
            if (row["round"], row["system"]) != (version, system):
                continue
            figures = figures_of(model, TINY[row["benchmark"]]())
            latency = float(figures.cycles.sum()) / model.description.clock_mhz * 1e-3
            out.append(Row(name, f"{row['benchmark']} ms", float(row["latency_ms"]), latency, 25))
            if row["energy_uJ_per_inf"]:
                energy = float(figures.energy_pj.sum()) * 1e-6
                out.append(Row(name, f"{row['benchmark']} uJ", float(row["energy_uJ_per_inf"]), energy, 25))
    return out


def ethos_rows(reference: Path) -> list[Row]:
    """MACs exact, cycles of every operator and every network as Vela's NPU cycles (softmax left out)."""
    table = read(reference, "vela_ethosu_layers")
    out: list[Row] = []
    for size in (32, 128, 256):
        for model, network in MODELS.items():
            chosen = [r for r in table if r["config"] == f"ethos-u55-{size}" and r["model"] == model]
            out += _ethos_network(
                f"ethosu55_{size}", model, TINY[network](), [r for r in chosen if r["tflite_op"] in OPERATORS]
            )
    return out


def _ethos_network(name: str, model: str, specs: tuple[LayerSpec, ...], table: list[dict[str, str]]) -> list[Row]:
    figures = figures_of(load(name), specs)
    out: list[Row] = []
    ours_total = published_total = 0.0
    left = list(range(len(specs)))
    for row in table:
        i = next(j for j in left if _matches(specs[j], row, figures, j))
        left.remove(i)
        ours, published = float(figures.compute_cycles[i]), float(row["npu_cycles"])
        label = f"{model} {row['op_index']} {row['npu_op']}"
        if specs[i].compressible:
            out.append(Row(name, f"{label} MACs", float(row["macs"]), float(figures.macs[i]), 0))
        out.append(Row(name, f"{label} cycles", published, ours, 20))
        ours_total, published_total = ours_total + ours, published_total + published
    return [*out, Row(name, f"{model} cycles", published_total, ours_total, 10)]


def _matches(spec: LayerSpec, row: dict[str, str], figures: Figures, i: int) -> bool:
    same = spec.kind == OPERATORS[row["npu_op"]]
    return same and (not spec.compressible or float(figures.macs[i]) == float(row["macs"]))
