"""Eyeriss: measured chip (JSSC 2017) and normalised energies (ISCA 2016)."""

from pathlib import Path

import numpy as np

from benchmarks.hardware.row import Row, computing, figures_of, read, with_batch
from benchmarks.networks.classic import alexnet, alexnet_with_fc, vgg16
from rlcompress.hw_models.figures import LEVELS, Figures
from rlcompress.spec import LayerSpec

DRAM = LEVELS.index("DRAM")


def rows(reference: Path) -> list[Row]:
    """All checks of the two descriptions."""
    return chip_rows(reference) + relative_rows(reference)


def chip_rows(reference: Path) -> list[Row]:
    """GLB and DRAM traffic, latency and power of 18 layers and two networks."""
    table = read(reference, "eyeriss_v1_layers")
    out: list[Row] = []
    for network, images, unit, make in (("AlexNet", 4, 1e6, alexnet), ("VGG-16", 3, 2.0**20, vgg16)):
        published = [row for row in table if row["network"] == network]
        densities = tuple(1 - float(row["ifmap_zeros_pct"]) / 100 for row in published[:-1])
        specs = make(densities)
        figures = figures_of(with_batch("eyeriss_v1", images), specs, (16, 16))
        for (i, spec), row in zip(computing(specs), published, strict=False):
            out += _layer_rows(network, spec, row, figures, (i, images, unit))
        out += _total_rows(network, published[-1], figures, images)
    return out


def _layer_rows(
    network: str, spec: LayerSpec, row: dict[str, str], figures: Figures, place: tuple[int, int, float]
) -> list[Row]:
    i, images, unit = place
    name = f"{network} {spec.name}"
    glb = figures.glb_bits[i] * images / 8 / unit
    out = [Row("eyeriss_v1", f"{name} GLB MB", float(row["glb_access_MB"]), glb, 1.5)]
    if network == "AlexNet" and spec.name != "CONV1":
        out.append(Row("eyeriss_v1", f"{name} DRAM MB", float(row["dram_access_MB"]), _dram_mb(figures, i, images), 6))
    latency = figures.cycles[i] * images / 200e3
    out.append(Row("eyeriss_v1", f"{name} ms", float(row["processing_latency_ms"]), latency, 8))
    return [*out, Row("eyeriss_v1", f"{name} mW", float(row["power_mW"]), _chip_mw(figures, [i]), 10)]


def _dram_mb(figures: Figures, i: int, images: int) -> float:
    """DRAM traffic of a layer with the pooling that follows it on the chip."""
    pooled = i + 1 < len(figures.macs) and figures.macs[i + 1] == 0
    bits = figures.dram_weights_bits[i] + figures.dram_inputs_bits[i] + figures.dram_outputs_bits[i]
    bits = bits + (figures.dram_outputs_bits[i + 1] if pooled else 0)
    return float(bits * images / 8e6)


def _chip_mw(figures: Figures, layers: list[int]) -> float:
    """Power of the chip without DRAM, in mW at 200 MHz."""
    energy = figures.energy_pj[:, layers].sum() - figures.energy_pj[DRAM, layers].sum()
    return float(energy / figures.cycles[layers].sum() * 200e6 * 1e-9)


def _total_rows(network: str, row: dict[str, str], figures: Figures, images: int) -> list[Row]:
    layers = [i for i in range(len(figures.macs)) if figures.macs[i] > 0]
    latency = figures.cycles[layers].sum() * images / 200e3
    power = Row("eyeriss_v1", f"{network} total mW", float(row["power_mW"]), _chip_mw(figures, layers), 5)
    return [power, Row("eyeriss_v1", f"{network} total ms", float(row["processing_latency_ms"]), latency, 8)]


def relative_rows(reference: Path) -> list[Row]:
    """ALU, RF and DRAM energy of Fig. 10; the tolerances are ours, the figure is read to two digits."""
    table = read(reference, "eyeriss_isca16_fig10")
    specs = alexnet_with_fc()
    figures = figures_of(with_batch("eyeriss_relative", 16), specs, (16, 16))
    out: list[Row] = []
    ours_dram = []
    for (i, spec), row in zip(computing(specs), table, strict=True):
        energy = figures.energy_pj[:, i] * 16 / 1e9
        out.append(
            Row("eyeriss_relative", f"{spec.name} ALU 1e9", float(row["alu_1e9"]), round(float(energy[0]), 2), 1)
        )
        out.append(Row("eyeriss_relative", f"{spec.name} RF 1e9", float(row["rf_1e9"]), round(float(energy[1]), 2), 1))
        out.append(Row("eyeriss_relative", f"{spec.name} DRAM 1e9", float(row["dram_1e9"]), float(energy[DRAM]), 15))
        ours_dram.append(float(energy[DRAM]))
    share = np.array([[float(row[key]) for key in ("alu_1e9", "rf_1e9", "dram_1e9")] for row in table]).sum(axis=0)
    out.append(Row("eyeriss_relative", "AlexNet DRAM 1e9", float(share[2]), sum(ours_dram), 10))
    return out
