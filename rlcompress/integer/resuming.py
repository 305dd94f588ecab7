"""Networks that differ from a reference in some layers, run from there on."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, fx

from rlcompress.integer.lowering import Lowering, engine_named
from rlcompress.integer.network import IntegerNetwork
from rlcompress.quantization import ActivationQuantizer, integer_weight


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
        program, self._output = self._lowering.run()
        calls = stitched.graph.find_nodes(op="call_module")
        modules = {node: stitched.get_submodule(str(node.target)) for node in calls}
        self._nodes = [node for node, module in modules.items() if isinstance(module, ActivationQuantizer)]
        self._own = {node: module for node, module in modules.items() if node in self._nodes or integer_weight(module)}
        codes = [self._lowering.codes(node) for node in self._nodes]
        self._network = IntegerNetwork(program, self._output, self._engine, (c.value for c in codes if c))

    def run(self, images: Tensor) -> tuple[dict[int, Tensor], Tensor]:
        """Images [N, C, H, W] -> the stored tensors, for `changed`, and the outputs."""
        values = self._network.run({0: images})
        return values, values[self._output]

    @torch.no_grad()
    def changed(self, stitched: fx.GraphModule) -> "Resumed":
        """Another network of the same bank: what comes before the layers and ranges that differ is not run again.

        Args:
            stitched: from `rlcompress.candidates.Candidates.stitch_locally`, which shares what is equal.
        """
        modules = dict(stitched.named_modules())
        own = [node for node, module in self._own.items() if modules[str(node.target)] is not module]
        changed = _following(own, stitched.graph)
        known = [node for node in self._nodes if node not in changed]
        program, output = Lowering(stitched, self._engine, self._lowering, known).run()
        return Resumed(IntegerNetwork(program, output, self._engine), output)


class Resumed:
    """What differs from a `Reference`."""

    def __init__(self, network: IntegerNetwork, output: int) -> None:
        self._network, self._output = network, output

    def __call__(self, values: Mapping[int, Tensor]) -> Tensor:
        """What `Reference.run` has kept of some images -> outputs on them, the bits that `lower` would give."""
        output: Tensor = self._network.run(values)[self._output]
        return output


def _following(changed: Sequence[fx.Node], graph: fx.Graph) -> set[fx.Node]:
    """Some nodes and all that depend on them."""
    found = set(changed)
    for node in graph.nodes:
        if not found.isdisjoint(node.all_input_nodes):
            found.add(node)
    return found
