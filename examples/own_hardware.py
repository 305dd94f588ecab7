"""Describe an accelerator of your own, and see what a network costs on it.

python examples/own_hardware.py
"""

from pathlib import Path

from rlcompress import hw_models
from rlcompress.network.spec_cards import built_in_specs
from rlcompress.report import energy_report
from rlcompress.spec import LayerChoice

DESCRIPTION = """\
name: my_npu
title: 8x8 array at 100 MHz with one buffer
source: my own estimate
confidence: estimate
clock_mhz: 100
bits: {weight: [4, 8], activation: [8]}
array: {type: spatial, rows: 8, columns: 8}
mac: {type: multiplier}
buffers:
  - {name: SRAM, holds: [weights, inputs, outputs], kb: 64, sram: {tech_nm: 45, word_bits: 64}}
dram: {pj_per_bit: 15, bits_per_cycle: 32}
vector: {lanes: 8, pj: 0.1}
"""


def main() -> None:
    """Write the description, cost a network dense and with 4-bit weights, and write a report."""
    Path("my_npu.yaml").write_text(DESCRIPTION)
    hardware = hw_models.load("my_npu.yaml")  # a mistake would be named with its line and mend
    specs = built_in_specs("cifar_resnet20")
    layers = [spec.name for spec in specs if spec.compressible]

    four_bits = dict.fromkeys(layers, LayerChoice(weight_bits=4))
    for title, choices in (("8 bits", dict.fromkeys(layers, LayerChoice())), ("4-bit weights", four_bits)):
        cost = hardware.cost(specs, choices)
        print(f"{title}: {cost.energy_uj:.1f} uJ, {cost.latency_ms:.2f} ms, {cost.weights_kb:.0f} kB of weights")
    Path("my_npu.html").write_text(energy_report("cifar_resnet20", specs, hardware, four_bits), encoding="utf-8")


if __name__ == "__main__":
    main()
