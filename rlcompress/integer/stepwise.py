"""`Stepwise`: a network whose stored tensors are computed one after the other, each when its range is settled."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, fx

from rlcompress.integer.lowering import Lowering, engine_named
from rlcompress.integer.network import IntegerNetwork
from rlcompress.quantization import ActivationQuantizer


class Stepwise:
    """A network whose activation ranges are tried in the order of execution.

    What comes before the range in question is computed once, so that a trial takes what follows it alone. Of the stored
    tensors those are kept that are still to be read, as bytes.

    Args:
        stitched: from `rlcompress.candidates.Candidates.stitch`; the ranges of its quantizers may be changed in place,
            each until it is settled.
        batches: of images [N, C, H, W].
        engine: name in `rlcompress.integer.ENGINES`.

    Attributes:
        quantizers: in the order in which they are to be settled.

    Raises:
        RunError, NetworkError: as `lower`.
    """

    def __init__(self, stitched: fx.GraphModule, batches: Sequence[Tensor], *, engine: str = "auto") -> None:
        self._stitched, self._engine = stitched, engine_named(engine)
        self._nodes = {
            module: node
            for node in stitched.graph.find_nodes(op="call_module")
            if isinstance(module := stitched.get_submodule(str(node.target)), ActivationQuantizer)
        }
        self.quantizers = list(self._nodes)
        self._place = {node: place for place, node in enumerate(stitched.graph.nodes)}
        self._last = self._last_readers()
        self._lowering = Lowering(stitched, self._engine)
        self._settled: list[fx.Node] = []
        self._values: list[dict[int, Tensor]] = [{0: batch} for batch in batches]

    def outputs(self) -> Iterator[Tensor]:
        """The network's outputs batch by batch, with all ranges as they are."""
        program, output = self._next().run()
        yield from self._run(IntegerNetwork(program, output, self._engine), output)

    @torch.no_grad()
    def settle(self, quantizer: ActivationQuantizer) -> None:
        """Leave the range of the next quantizer as it is from now on."""
        node, lowering = self._nodes[quantizer], self._next()
        codes = lowering.codes(node)
        assert codes is not None
        self._engine.finish()
        network = IntegerNetwork(lowering.program, codes.value, self._engine)
        stored = [tensor.to(torch.uint8) for tensor in self._run(network, codes.value)]
        self._settled.append(node)
        self._lowering = lowering
        read = (one for one in self._settled if self._last.get(one, 0) > self._place[node])
        needed = {0, *(known.value for one in read if (known := lowering.codes(one)))}
        for values, tensor in zip(self._values, stored, strict=True):
            values[codes.value] = tensor
            for number in values.keys() - needed:
                del values[number]

    def _last_readers(self) -> dict[fx.Node, int]:
        """Stored tensor -> place of the last of stored tensors and outputs that are computed from it directly."""
        sources: dict[fx.Node, set[fx.Node]] = {}
        last: dict[fx.Node, int] = {}
        stored = set(self._nodes.values())
        for node, place in self._place.items():
            read = set().union(*(sources[part] for part in node.all_input_nodes))
            if node in stored or node.op == "output":
                last.update(dict.fromkeys(read, place))
            sources[node] = {node} if node in stored else read
        return last

    @torch.no_grad()
    def _next(self) -> Lowering:
        """What emits that which is not settled."""
        return Lowering(self._stitched, self._engine, self._lowering).take(self._settled)

    def _run(self, network: IntegerNetwork, output: int) -> Iterator[Tensor]:
        for values in self._values:
            codes = {number: tensor.to(self._engine.code_type) for number, tensor in values.items() if number}
            yield network.run({0: values[0], **codes})[output]
