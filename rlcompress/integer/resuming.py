"""Networks that differ from a reference in some layers, run from there on."""

from collections.abc import Mapping

import torch
from torch import Tensor, fx, nn

from rlcompress.integer.lowering import Lowering, engine_named
from rlcompress.integer.network import IntegerNetwork
from rlcompress.quantization import ActivationQuantizer, integer_weight


class Reference:
    """An integer network whose stored tensors are kept, so that others need not compute what they have in common.

    Args:
        stitched: from `rlcompress.candidates.Candidates.stitch_locally`; leave it as it is.
        engine: name in `rlcompress.integer.ENGINES`.

    Raises:
        RunError, NetworkError: as `lower`.
    """

    @torch.no_grad()
    def __init__(self, stitched: fx.GraphModule, *, engine: str = "auto") -> None:
        self._engine = engine_named(engine)
        self._graph = stitched
        self._lowering = Lowering(stitched, self._engine)
        program, self._output = self._lowering.run()
        module = self._lowering.is_.module
        self._nodes = [node for node in stitched.graph.nodes if isinstance(module(node), ActivationQuantizer)]
        codes = [self._lowering.codes(node) for node in self._nodes]
        self._network = IntegerNetwork(program, self._output, self._engine.name, (c.value for c in codes if c))

    def run(self, images: Tensor) -> tuple[dict[int, Tensor], Tensor]:
        """Images [N, C, H, W] -> the stored tensors, for `changed`, and the outputs."""
        values = self._network.run({0: images})
        return values, values[self._output]

    @torch.no_grad()
    def changed(self, stitched: fx.GraphModule) -> "Resumed":
        """Another network of the same bank: of layers that both share and ranges that are equal, nothing is run again.

        Args:
            stitched: from the method of the same bank that the reference's is from.
        """
        changed = _changed_nodes(self._graph, stitched)
        known = [node for node in self._nodes if node not in changed]
        program, output = Lowering(stitched, self._engine, self._lowering, known).run()
        return Resumed(IntegerNetwork(program, output, self._engine.name), output)


class Resumed:
    """What differs from a `Reference`."""

    def __init__(self, network: IntegerNetwork, output: int) -> None:
        self._network, self._output = network, output

    def __call__(self, values: Mapping[int, Tensor]) -> Tensor:
        """What `Reference.run` has kept of some images -> outputs on them, the bits that `lower` would give."""
        output: Tensor = self._network.run(values)[self._output]
        return output


def _changed_nodes(reference: fx.GraphModule, other: fx.GraphModule) -> set[fx.Node]:
    """Nodes whose values may differ between two networks of one graph."""
    changed: set[fx.Node] = set()
    for node in other.graph.nodes:
        if not changed.isdisjoint(node.all_input_nodes) or (node.op == "call_module" and _differs(
            reference.get_submodule(str(node.target)), other.get_submodule(str(node.target))
        )):
            changed.add(node)
    return changed


def _differs(ours: nn.Module, theirs: nn.Module) -> bool:
    if isinstance(ours, ActivationQuantizer) and isinstance(theirs, ActivationQuantizer):
        return ours.range != theirs.range
    return integer_weight(ours) is not None and ours is not theirs
