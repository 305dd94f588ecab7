"""Networks that differ from a reference in some layers, run from there on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, fx

from rlcompress.integer.lowering import Lowering, engine_named, meaning
from rlcompress.integer.network import IntegerNetwork, Program
from rlcompress.quantization import ActivationQuantizer, integer_weight


@dataclass(frozen=True, eq=False)
class Resumed:
    """What differs from a `Reference`.

    Attributes:
        joint: position of the stored tensor behind which the reference's own instructions go on; the number of stored
            tensors where they do not.
        network: what comes before.
        stands: value of the reference's program -> that of the network which stands for it.
    """

    joint: int
    network: IntegerNetwork
    stands: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class _Rest:
    """The reference's instructions behind a joint, with the values that they read."""

    network: IntegerNetwork
    reads: frozenset[int]


class Reference:
    """An integer network whose stored tensors are kept, so that others need not compute what they have in common.

    Args:
        stitched: from `rlcompress.candidates.Candidates.stitch_locally`; leave it as it is.
        engine: name in `rlcompress.integer.ENGINES`.

    Attributes:
        code_bytes: of a stored number, see `rlcompress.memory.images_at_once`.

    Raises:
        RunError, NetworkError: as `lower`.
    """

    @torch.no_grad()
    def __init__(self, stitched: fx.GraphModule, *, engine: str = "auto") -> None:
        self._engine = engine_named(engine)
        self.code_bytes = self._engine.code_type.itemsize
        self._lowering = Lowering(stitched, self._engine)
        self._program, self._output = self._lowering.run()
        self._reads = [(node, node.all_input_nodes) for node in stitched.graph.nodes]
        modules = {node: module for node, _ in self._reads if (module := self._lowering.is_.module(node))}
        self._nodes = [node for node, module in modules.items() if isinstance(module, ActivationQuantizer)]
        self._own = {node: module for node, module in modules.items() if node in self._nodes or integer_weight(module)}
        self._codes = [codes for node in self._nodes if (codes := self._lowering.codes(node))]
        self._network = IntegerNetwork(self._program, self._output, self._engine, (c.value for c in self._codes))
        self._behind = cache(self._rest)

    def run(self, images: Tensor) -> tuple[dict[int, Tensor], Tensor]:
        """Images [N, C, H, W] -> the stored tensors, for `outputs`, and the outputs."""
        values = self._network.run({0: images})
        return values, values[self._output]

    @torch.no_grad()
    def changed(self, stitched: fx.GraphModule) -> Resumed:
        """Another network of the same bank, for `outputs`.

        Args:
            stitched: from `rlcompress.candidates.Candidates.stitch_locally`, which shares what is equal.
        """
        lowering = Lowering(stitched, self._engine, self._lowering)
        own = {node for node, module in self._own.items() if lowering.is_.module(node) is not module}
        following = self._following(own)
        lowering.take(node for node in self._nodes if node not in following)
        for joint in range(self._last_made_of(own), len(self._nodes)):
            stands = self._standing(lowering, joint)
            if stands:
                self._engine.finish()
                first, *others = stands.values()
                return Resumed(joint, IntegerNetwork(lowering.program, first, self._engine, others), stands)
        program, output = lowering.run()
        return Resumed(len(self._nodes), IntegerNetwork(program, output, self._engine), {self._output: output})

    def outputs(self, networks: Sequence[Resumed], values: Mapping[int, Tensor]) -> list[Tensor]:
        """Outputs, the bits that `lower` would give, of networks of one joint.

        What comes before the layers and ranges that differ is not run again; what comes behind their joint is run for
        all of them together.

        Args:
            networks: from `changed`.
            values: what `run` has kept of some images.
        """
        made = [network.network.run(values) for network in networks]

        def of_all(value: int) -> list[Tensor]:
            return [known[one.stands.get(value, value)] for one, known in zip(networks, made, strict=True)]

        if networks[0].joint == len(self._nodes):
            return of_all(self._output)
        rest = self._behind(networks[0].joint)
        joined = {value: torch.cat(of_all(value)) for value in rest.reads}
        return list(rest.network.run(joined)[self._output].chunk(len(networks)))

    def _following(self, changed: set[fx.Node], ends: Collection[fx.Node] = ()) -> set[fx.Node]:
        """Some nodes and all that depend on them, but for what does so by way of certain ends alone."""
        found = set(changed)
        for node, reads in self._reads:
            if any(part in found and part not in ends for part in reads):
                found.add(node)
        return found

    def _last_made_of(self, changed: set[fx.Node]) -> int:
        """Position of the last stored tensor that some nodes have a direct part in; beyond all if the output is one."""
        made = self._following(changed, set(self._nodes) - changed)
        if any(node.op == "output" for node in made):
            return len(self._nodes)
        return max((position for position, node in enumerate(self._nodes) if node in made), default=0)

    def _standing(self, lowering: Lowering, joint: int) -> dict[int, int] | None:
        """What stands for the values that are read behind a joint; None where something means another thing."""
        stands: dict[int, int] = {}
        reads = self._behind(joint).reads
        for node, own in zip(self._nodes[: joint + 1], self._codes, strict=False):
            codes = lowering.codes(node)
            if codes is None or own.value not in reads:
                continue
            if meaning(codes) != meaning(own) or stands.setdefault(own.value, codes.value) != codes.value:
                return None
        return stands

    def _rest(self, joint: int) -> _Rest:
        at_hand, needed = {0, *(codes.value for codes in self._codes[: joint + 1])}, {self._output}
        instructions = []
        for instruction in reversed(self._program.instructions):
            if instruction.output in needed - at_hand:
                instructions.append(instruction)
                needed.update(instruction.inputs)
        program = Program(instructions[::-1], self._program.values)
        network = IntegerNetwork(program, self._output, self._engine, spent=True)
        return _Rest(network, frozenset(needed & at_hand))
