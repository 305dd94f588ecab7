"""What a network's connections alone say: who reads a tensor, how long it lives, what works on its tiles."""

import numpy as np
from numpy.typing import NDArray

from rlcompress.hw_models.work import Floats
from rlcompress.spec import NetworkStructure

Reading = list[tuple[tuple[int, ...], bool]]


def reading_layers(structure: NetworkStructure) -> Reading:
    """For each operator the layers that read its output, through pool, add and matmul.

    Beside them, whether the network's outputs or a layer that no policy changes are made of it.
    """
    layer_of = {int(i): j for j, i in enumerate(structure.layer_index)}
    found: dict[int, tuple[frozenset[int], bool]] = {}
    for i in range(len(structure.specs) - 1, -1, -1):
        readers = structure.readers[i]
        direct = frozenset(layer_of[r] for r in readers if r in layer_of)
        through = [found[r] for r in readers if r not in layer_of and not structure.specs[r].fixed]
        at_8_bits = not readers or any(structure.specs[r].fixed for r in readers) or any(wide for _, wide in through)
        found[i] = (direct.union(*(layers for layers, _ in through)), at_8_bits)
    return [(tuple(sorted(found[i][0])), found[i][1]) for i in range(len(structure.specs))]


def first_joins(structure: NetworkStructure) -> NDArray[np.bool_]:
    """[S] whether an operator is the first to read several outputs as one."""
    read: set[tuple[int, ...]] = set()
    joins = []
    for producers, spec in zip(structure.producers, structure.specs, strict=True):
        joins.append(len(producers) > 1 and spec.kind not in ("add", "matmul") and producers not in read)
        read.add(producers)
    return np.array(joins)


def output_densities(structure: NetworkStructure) -> Floats:
    """[S] share of nonzero outputs, as their readers were profiled; 1 for the network's outputs."""
    specs = structure.specs
    return np.array([np.mean([specs[r].input_density for r in rs]) if rs else 1.0 for rs in structure.readers])


def fused_outputs(structure: NetworkStructure) -> NDArray[np.bool_]:
    """[S] whether an output goes straight into the pool or add that follows, tile by tile."""
    kinds = [spec.kind for spec in structure.specs]
    return np.array([rs == [i + 1] and kinds[i + 1] in ("pool", "add") for i, rs in enumerate(structure.readers)])


def last_steps(structure: NetworkStructure, fused: NDArray[np.bool_], span: int) -> NDArray[np.int64]:
    """[S] the last operator that reads an output, or -1 where the output may not stay on chip."""
    steps = []
    for i, readers in enumerate(structure.readers):
        stays = bool(readers) and not fused[i] and max(readers) - i <= span
        steps.append(max(readers) if stays else -1)
    return np.array(steps, np.int64)


def staying(sizes: Floats, last: NDArray[np.int64], room: float) -> NDArray[np.bool_]:
    """[S, B] where an output stays on chip: at every step of its life all that live then fit into ``room``.

    Args:
        sizes: [S, B] of the outputs, in whole bits.
        last: [S] as `last_steps` gives them.
        room: in bits.
    """
    may = np.flatnonzero(last >= 0)
    change = np.zeros((len(last) + 1, sizes.shape[1]))
    change[may] = sizes[may]
    np.subtract.at(change, last[may] + 1, sizes[may])
    full = np.cumsum(np.cumsum(change, axis=0)[:-1] > room, axis=0)
    before = np.concatenate([np.zeros_like(full[:1]), full])[:-1]
    return np.asarray((last >= 0)[:, None] & (full[last] == before))


def second_operands(structure: NetworkStructure) -> NDArray[np.int64]:
    """[S] the operator whose output a matmul uses as weights, -1 where there is none."""
    kinds = [spec.kind for spec in structure.specs]
    found = [p[1] if kinds[i] == "matmul" and len(p) > 1 else -1 for i, p in enumerate(structure.producers)]
    return np.array(found, np.int64)


def input_shares(structure: NetworkStructure) -> Floats:
    """[S readers, S producers]: share of an operator's input that each producer supplies; none for the first ones.

    The second operand of a matmul takes the place of weights (`second_operands`).
    """
    shares = np.zeros((len(structure.specs),) * 2)
    for i, producers in enumerate(structure.producers):
        for p in producers[:1] if structure.specs[i].kind == "matmul" else producers:
            shares[i, p] += structure.specs[p].output_elements
    return np.asarray(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1.0))
