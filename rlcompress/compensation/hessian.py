"""Second moments of layers' inputs, the Hessians of the layer-wise least-squares problem."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from rlcompress.compensation.inputs import visit_inputs
from rlcompress.network.layers import WeightedLayer

Blocks = dict[tuple[int, int], Tensor]
"""Kernel rows r <= r' -> the part of X X^T between them, [G, C / G * S, C / G * S]."""

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
    """Adds up what `input_hessians` gives, as `rlcompress.compensation.inputs.visit_inputs` shows the inputs.

    Attributes:
        columns: layer name -> columns of X that were looked at.
    """

    def __init__(self) -> None:
        self._layers: dict[str, WeightedLayer] = {}
        self._sums: dict[str, Blocks] = {}
        self.columns: dict[str, int] = {}

    def add(self, name: str, layer: WeightedLayer, x: Tensor, number: int, chunks: int) -> None:
        """Take in the inputs of a layer on one chunk of several."""
        blocks, count = _second_moment(layer, x, number, chunks)
        if name in self._sums:
            for rows, block in blocks.items():
                self._sums[name][rows].add_(block)
        else:
            self._layers[name], self._sums[name] = layer, blocks
        self.columns[name] = self.columns.get(name, 0) + count

    def result(self) -> dict[str, Tensor]:
        """Layer name -> [G, D, D]; ends the sum, whose memory it takes."""
        return {
            name: _joined(layer, self._sums.pop(name)).div_(self.columns[name]) for name, layer in self._layers.items()
        }


def _second_moment(layer: WeightedLayer, x: Tensor, number: int, chunks: int) -> tuple[Blocks, int]:
    """X X^T of one chunk of several, and the number of columns of X."""
    if isinstance(layer, nn.Linear):
        return {(0, 0): (x.T @ x)[None]}, len(x)
    strips, rows = _strips(layer, x, number, chunks)
    return _row_blocks(strips, rows, layer), rows * strips.shape[1] * strips.shape[2]


def _joined(layer: WeightedLayer, blocks: Blocks) -> Tensor:
    """[G, D, D] from its blocks; the lower ones mirror the upper ones."""
    if isinstance(layer, nn.Linear):
        return blocks[0, 0]
    (window, width), groups = layer.kernel_size, layer.groups
    inputs = layer.in_channels // groups
    whole = blocks[0, 0].new_empty(groups, inputs, window, width, inputs, window, width)
    for (first, second), block in blocks.items():
        split = block.view(groups, inputs, width, inputs, width)
        whole[:, :, first, :, :, second] = split
        whole[:, :, second, :, :, first] = split.permute(0, 3, 4, 1, 2)
    depth = inputs * window * width
    return whole.view(groups, depth, depth)


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


def _row_blocks(strips: Tensor, rows: int, layer: nn.Conv2d) -> Blocks:
    """Blocks of X X^T.

    At stride 1 the blocks of equal r' - r sum over the same rows but for a few at the image's border, so that one
    product a distance will do, where unfolding takes one a pair.
    """
    window, stride, dilation = layer.kernel_size[0], layer.stride[0], layer.dilation[0]
    blocks: Blocks = {}
    for r in range(window):
        for other in range(r, window):
            start, apart = r * dilation, (other - r) * dilation
            if r > 0 and stride == 1 and rows > 2 * dilation:
                old = start - dilation
                left_out = _product(strips, old, old + apart, dilation, layer)
                come_in = _product(strips, old + rows, old + rows + apart, dilation, layer)
                blocks[r, other] = blocks[r - 1, other - 1] - left_out + come_in
            else:
                blocks[r, other] = _product(strips, start, start + apart, rows, layer)
    return blocks


def _product(strips: Tensor, first: int, second: int, count: int, layer: nn.Conv2d) -> Tensor:
    """Sum over ``count`` output rows of the products of the input rows from ``first`` and from ``second`` >= it on.

    Rows of zeros, which the padding puts around the image, are left out.
    """
    stride, groups = layer.stride[0], layer.groups
    above, below = layer._reversed_padding_repeated_twice[2:] if layer.padding_mode == "zeros" else (0, 0)
    skipped = max(0, -(-(above - first) // stride))
    count = min(count, -(-(len(strips) - below - second) // stride)) - skipped
    if count <= 0:
        return strips.new_zeros(groups, *[strips.shape[3] // groups] * 2)
    begins = (row + skipped * stride for row in (first, second))
    left, right = (strips[row : row + stride * (count - 1) + 1 : stride].flatten(0, 1) for row in begins)
    if groups == 1 and len(left) > 1:
        # as the gradient of a 1x1 convolution, at more than twice the speed of a matrix product on a CPU
        left, right = (part.transpose(1, 2).unsqueeze(2) for part in (left, right))
        return conv2d_weight(right, (left.shape[1], right.shape[1], 1, 1), left)[None, ..., 0, 0]
    left, right = (part.flatten(0, 1).unflatten(1, (groups, -1)) for part in (left, right))
    return left.permute(1, 2, 0) @ right.transpose(0, 1)
