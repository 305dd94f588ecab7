"""How much memory a search on a network takes whatever it is allowed."""

import math
from dataclasses import dataclass

from torch import fx

from rlcompress.candidates import learning_steps
from rlcompress.candidates.final import finishing_images, refit_images
from rlcompress.candidates.ranges import tuning_values
from rlcompress.compensation import refit_bytes
from rlcompress.data import DataSplits
from rlcompress.integer import engine_named
from rlcompress.memory import FLOAT_BYTES, MemoryNeed, MemoryShares, images_at_once, parse_bytes, split_memory
from rlcompress.network.trace import TracedNetwork
from rlcompress.spec import LayerSpec

_PROGRAM_BYTES = 450_000_000  # Python and its libraries once all are loaded
_CORRECTION_IMAGES = 64
_CODE_BYTES = 7  # of a weight in the bank, at as many widths
_SET_UP_COPIES = 3  # of all weights: the caller's model, the traced one, the template
_FINISHING_COPIES = 8  # while a policy is finished: stitched, refitted, matched, their codes, the front's in integers
_LEARNING_COPIES = 14  # more of them in learned rounding: positions, limits, gradients, Adam's moments, dense
_LEARNING_IMAGES = 4
_SWEEP_COPIES = 8  # of a Hessian while its layer is compressed
_SYNTHETIC_BATCH = 64


@dataclass(frozen=True, slots=True)
class GraphValues:
    """Numbers that a graph's nodes hold for one image.

    Attributes:
        every: of all nodes together.
        alive: most that are still to be read at one time.
        largest: of one node.
    """

    every: int
    alive: int
    largest: int

    @classmethod
    def of(cls, graph: fx.GraphModule) -> "GraphValues":
        """Count them by the shapes that the graph was traced with."""
        nodes = list(graph.graph.nodes)
        sizes = {node: math.prod((node.meta.get("shape") or (1, 0))[1:]) for node in nodes}
        last = {operand: node for node in nodes for operand in node.all_input_nodes}
        now = most = 0
        for node in nodes:
            now += sizes[node]
            most = max(most, now)
            now -= sum(sizes[operand] for operand in node.all_input_nodes if last[operand] is node)
        return cls(sum(sizes.values()), most, max(sizes.values()))


def memory_need(network: TracedNetwork, data: DataSplits, repair: str) -> MemoryNeed:
    """What a search takes in any case.

    Args:
        network: the traced network.
        data: images; test images are read when all else is done and counted as one more search set.
        repair: tier of the repair.
    """
    values = GraphValues.of(network.graph)
    image = math.prod(network.input_shape)
    weights = FLOAT_BYTES * sum(spec.weights for spec in network.layers.values())
    hessians = [_hessian_bytes(spec) for spec in network.layers.values()]
    learned = learning_steps(repair) > 0
    refitted_to = refit_images(network.graph, network.layers)
    most = finishing_images(refitted_to)
    kept_images = len(data.calibration) + data.most_learning if learned else min(most, len(data.calibration))
    statistics = sum(hessians) + FLOAT_BYTES * image * (kept_images + _CORRECTION_IMAGES)
    images = data.calibration.images.nbytes + 2 * data.search.images.nbytes
    computing = images_at_once(image, size=1) * (
        values.alive + 2 * FLOAT_BYTES * values.largest
    )  # codes, some as floats
    tuning = engine_named("auto").code_type.itemsize * tuning_values(values.every) + computing
    correcting = FLOAT_BYTES * _CORRECTION_IMAGES * (values.alive + 2 * values.largest)
    between = min(refitted_to, kept_images) * refit_bytes(network.graph, network.layers)
    refitting = between + correcting // 2 + _SWEEP_COPIES * max(hessians)  # 32 images at a time
    loading = FLOAT_BYTES * image * len(data.calibration)
    synthesis = 2 * FLOAT_BYTES * _SYNTHETIC_BATCH * values.every if repair == "t0" else 0
    learning = learned * (_LEARNING_COPIES * weights + 3 * FLOAT_BYTES * _LEARNING_IMAGES * values.every)
    working = max(
        synthesis,
        loading + correcting,
        _FINISHING_COPIES * weights + max(correcting + learning, tuning, refitting),
    )
    return MemoryNeed(
        shared=statistics + images + _SET_UP_COPIES * weights,
        process=_PROGRAM_BYTES + working,
        piece=max(_CODE_BYTES * weights // FLOAT_BYTES, 2 * weights, FLOAT_BYTES * values.every),
    )


def memory_shares(
    network: TracedNetwork, data: DataSplits, memory: str | None, repair: str, workers: int
) -> MemoryShares:
    """The bounds that a search keeps with a budget such as ``4G``, or with none.

    Args:
        network: the traced network.
        data: images.
        memory: what all processes may take together.
        repair: tier of the repair.
        workers: processes beside this one, if more than 1.

    Raises:
        RunError: the budget is no size, or too small.
    """
    if memory is None:
        return MemoryShares()
    processes = workers + 1 if workers > 1 else 1
    channels, height, width = network.input_shape
    subject = f"{network.name} at {channels}x{height}x{width}"
    return split_memory(parse_bytes(memory), memory_need(network, data, repair), processes, subject)


def _hessian_bytes(spec: LayerSpec) -> int:
    depth = spec.weights_per_output
    return FLOAT_BYTES * spec.groups * depth * depth
