"""Export to Timeloop's YAML: architecture, problems and densities of a compressed network (words of Timeloop v4)."""

from typing import Any

import yaml

from rlcompress.hw_models.cost import LayerCost
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.energy import energy_per_bit
from rlcompress.hw_models.model import HardwareModel
from rlcompress.hw_models.network import Policy, Specs
from rlcompress.spec import LayerSpec, NetworkStructure


def to_timeloop(model: HardwareModel, specs: Specs, policy: Policy) -> str:
    """One YAML document with the architecture, and a problem for every operator that runs on the array."""
    operators = specs.specs if isinstance(specs, NetworkStructure) else tuple(specs)
    layers = zip(operators, model.cost(specs, policy).layers, strict=True)
    document = {
        "architecture": {"version": 0.4, "nodes": _nodes(model.description)},
        "problems": [_problem(model.description, spec, layer) for spec, layer in layers if layer.macs > 0],
    }
    return yaml.safe_dump(document, sort_keys=False, width=120)


def _nodes(description: Description) -> list[dict[str, Any]]:
    """Containers from DRAM inwards."""
    bandwidth = description.dram.bits_per_cycle / 2
    attributes = {"width": 64, "read_bandwidth": bandwidth, "write_bandwidth": bandwidth}
    attributes |= {"energy_per_bit_pj": description.dram.pj_per_bit}
    nodes: list[dict[str, Any]] = [{"name": "DRAM", "class": "DRAM", "attributes": attributes}]
    for buffer in description.buffers:
        read, write = energy_per_bit(buffer)
        size = {"width": buffer.word_bits, "depth": int(buffer.kb * 1024 * 8 // buffer.word_bits)}
        energy = {"read_energy_per_bit_pj": read, "write_energy_per_bit_pj": write}
        keep = {"dataspace": {"keep": [operand.capitalize() for operand in buffer.holds]}}
        nodes.append({"name": buffer.name, "class": "SRAM", "attributes": {**size, **energy}, "constraints": keep})
    array = description.array
    mesh = {axis: getattr(array, key) for axis, key in (("meshX", "columns"), ("meshY", "rows")) if hasattr(array, key)}
    compute = {"name": "MAC", "class": "compute", "attributes": {"clock_mhz": description.clock_mhz}}
    return [*nodes, {**compute, "spatial": mesh} if mesh else compute]


def _problem(description: Description, spec: LayerSpec, layer: LayerCost) -> dict[str, Any]:
    """The loop nest of one operator: groups G, outputs K and inputs C of one group."""
    k, c, p, q, r, s = layer.shape
    groups = min(k, c) if spec.kind == "depthwise" else min(spec.groups, k, c)
    instance = {"N": description.batch, "G": groups, "K": -(-k // groups), "C": -(-c // groups)}
    rows, columns = ([[edge], [pixel, "stride"]] for edge, pixel in (("R", "P"), ("S", "Q")))
    spaces: list[dict[str, Any]] = [
        {"name": "Weights", "projection": [[["G"]], [["C"]], [["K"]], [["R"]], [["S"]]]},
        {"name": "Inputs", "projection": [[["N"]], [["G"]], [["C"]], rows, columns]},
        {"name": "Outputs", "projection": [[["N"]], [["G"]], [["K"]], [["P"]], [["Q"]]], "read_write": True},
    ]
    densities = {"Weights": layer.weight_density, "Inputs": layer.input_density}
    return {
        "name": layer.name,
        "shape": {
            "dimensions": list("NGKCPQRS"),
            "coefficients": [{"name": "stride", "default": spec.stride}],
            "data_spaces": spaces,
        },
        "instance": {**instance, "P": p, "Q": q, "R": r, "S": s},
        "densities": {key: {"distribution": "hypergeometric", "density": d} for key, d in densities.items() if d < 1},
        "bits": {"Weights": layer.weight_bits, "Inputs": layer.activation_bits},
    }
