"""Second moments of layers' inputs, the Hessians of the layer-wise least-squares problem."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from rlcompress.compensation.inputs import visit_inputs
from rlcompress.network.layers import WeightedLayer

_COLUMNS = 65536  # of X that a layer's moments are averaged over; more change nothing that could be measured


def input_hessians(network: nn.Module, layers: Iterable[str], images: Tensor) -> dict[str, Tensor]:
    """H = X X^T of each layer, X holding one column a position and image of the inputs that a weight row sees.

    Where there are more positions than can matter, one in k columns of pixels is looked at, other ones in each chunk of
    images.

    Args:
        network: the dense network.
        layers: names of `nn.Conv2d` or `nn.Linear` modules.
        images: [N, C, H, W].

    Returns:
        Layer name -> [G, D, D] float32 for G groups, D = C / G * R * S in the order of the flattened weight; scaled
        to the mean over columns.
    """
    hessians = InputHessians()
    visit_inputs(network, layers, images, hessians.add)
    return hessians.result()


class InputHessians:
    """Adds up what `input_hessians` gives, as `rlcompress.compensation.inputs.visit_inputs` shows the inputs."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._columns: dict[str, int] = {}

    def add(self, name: str, layer: WeightedLayer, x: Tensor, number: int, chunks: int) -> None:
        """Take in the inputs of a layer on one chunk of several."""
        hessian, count = _second_moment(layer, x, number, chunks)
        self._sums[name] = self._sums[name].add_(hessian) if name in self._sums else hessian
        self._columns[name] = self._columns.get(name, 0) + count

    def result(self) -> dict[str, Tensor]:
        """Layer name -> [G, D, D]; ends the sum, whose memory it takes."""
        return {name: hessian.div_(self._columns[name]) for name, hessian in self._sums.items()}


def _second_moment(layer: WeightedLayer, x: Tensor, number: int, chunks: int) -> tuple[Tensor, int]:
    """X X^T [G, D, D] of one chunk of several, and the number of columns of X."""
    if isinstance(layer, nn.Linear):
        return (x.T @ x)[None], len(x)
    strips, rows = _strips(layer, x, number, chunks)
    (window, width), groups = layer.kernel_size, layer.groups
    inputs = layer.in_channels // groups
    whole = strips.new_empty(groups, inputs, window, width, inputs, window, width)
    for (first, second), block in _row_blocks(strips, rows, layer).items():
        split = block.view(groups, inputs, width, inputs, width)
        whole[:, :, first, :, :, second] = split
        whole[:, :, second, :, :, first] = split.permute(0, 3, 4, 1, 2)
    depth = inputs * window * width
    return whole.view(groups, depth, depth), rows * strips.shape[1] * strips.shape[2]


def _strips(layer: nn.Conv2d, x: Tensor, number: int, chunks: int) -> tuple[Tensor, int]:
    """Inputs as [rows, N, Q, C * S], shifted along the width for each of S kernel columns, and the P output rows."""
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(x, layer._reversed_padding_repeated_twice, mode)  # resolves "same", too
    (window, width), (down, across), (spread, apart) = layer.kernel_size, layer.stride, layer.dilation
    rows = (padded.shape[2] - spread * (window - 1) - 1) // down + 1
    columns = (padded.shape[3] - apart * (width - 1) - 1) // across + 1
    step = min(chunks, columns, max(1, rows * columns * len(x) * chunks // _COLUMNS))
    first, last = across * (number % step), across * (columns - 1)
    shifted = [padded[..., s * apart + first : s * apart + last + 1 : across * step] for s in range(width)]
    return torch.stack([part.permute(2, 0, 3, 1) for part in shifted], 4).flatten(3), rows


def _row_blocks(strips: Tensor, rows: int, layer: nn.Conv2d) -> dict[tuple[int, int], Tensor]:
    """Blocks of X X^T between kernel rows r <= r', [G, C / G * S, C / G * S] each.

    At stride 1 the blocks of equal r' - r sum over the same rows but for a few at the image's border, so that one
    product a distance will do, where unfolding takes one a pair.
    """
    window, stride, dilation = layer.kernel_size[0], layer.stride[0], layer.dilation[0]

    def product(first: int, second: int, count: int) -> Tensor:
        left, right = (strips[r : r + stride * (count - 1) + 1 : stride].flatten(0, 1) for r in (first, second))
        if layer.groups == 1 and len(left) > 1:
            # as the gradient of a 1x1 convolution, at more than twice the speed of a matrix product on a CPU
            left, right = (part.transpose(1, 2).unsqueeze(2) for part in (left, right))
            return conv2d_weight(right, (left.shape[1], right.shape[1], 1, 1), left)[None, ..., 0, 0]
        left, right = (part.flatten(0, 1).unflatten(1, (layer.groups, -1)) for part in (left, right))
        return left.permute(1, 2, 0) @ right.transpose(0, 1)

    blocks: dict[tuple[int, int], Tensor] = {}
    for r in range(window):
        for other in range(r, window):
            start, apart = r * dilation, (other - r) * dilation
            if r > 0 and stride == 1 and rows > 2 * dilation:
                old = start - dilation
                left_out = product(old, old + apart, dilation)
                come_in = product(old + rows, old + rows + apart, dilation)
                blocks[r, other] = blocks[r - 1, other - 1] - left_out + come_in
            else:
                blocks[r, other] = product(start, start + apart, rows)
    return blocks
