"""Learned rounding: codes, scales, biases and activation ranges of a whole network, fitted to the dense network.

Every code may move a little from where the closed-form repair has put it, by 15 % of the largest code or by one step.
Codes are learned through a continuous position that is rounded in every forward pass (the straight-through gradient of
Bengio et al. 2013, arXiv:1308.3432), scales and ranges as in LSQ (Esser et al., ICLR 2020). What is aimed at is that of
AdaRound (Nagel et al., ICML 2020), BRECQ (Li et al., ICLR 2021) and QDrop (Wei et al., ICLR 2022), the dense network's
own values, without labels; codes may move farther than by rounding, as in AdaQuant (Hubara et al., ICML 2021); here all
layers learn at once, each on what the compressed layers before it give, towards every stored tensor and the outputs.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlcompress.compensation.crops import seen_size
from rlcompress.compensation.learned import Student, Watched
from rlcompress.compensation.rounded import RoundedLayer
from rlcompress.quantization import QuantizedWeight

_BATCH_VALUES = 8_000_000  # stored activations a step, which bound its memory
_BATCH = (4, 32)  # least and most images a step
_RATES = {"position": 2e-2, "scale": 1e-3, "bias": 3e-3, "range": 1e-2}  # of Adam; scales and ranges as logarithms
_REACH = 8
_BETAS = (0.9, 0.99)
_TINY = torch.finfo(torch.float32).tiny


@torch.enable_grad()
def learn_rounding(
    network: nn.Module,
    dense: nn.Module,
    layers: Mapping[str, RoundedLayer],
    images: Tensor,
    steps: int,
    on_step: Callable[[int, int], None] | None = None,
) -> dict[str, QuantizedWeight]:
    """Fit a compressed network to the dense one on unlabelled images, in place.

    Args:
        network: the compressed network, with an `ActivationQuantizer` with a range behind each stored tensor and a bias
            in each of the layers; gets the learned weights, biases and ranges.
        dense: the dense network, with quantizers of the same names that pass everything through.
        layers: name -> where it starts.
        images: [N, C, H, W] normalised.
        steps: of Adam, the learning rate falling to zero by a half cosine.
        on_step: called with (steps done, steps in all).

    Returns:
        Layer name -> the learned codes and scales; ``network``'s weights are their products.
    """
    student = Student(network, layers)
    teacher = Watched(copy.deepcopy(dense), student.ranges)
    groups = [{"params": parameters, "lr": _RATES[kind]} for kind, parameters in student.parameters().items()]
    optimizer = torch.optim.Adam(groups, betas=_BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 0.5 * (1.0 + math.cos(math.pi * i / steps)))
    seen = seen_size(lambda x: teacher(x, {})[-1], images[:1])
    for i, batch in enumerate(_batches(images, steps, _batch_size(teacher, images, seen), seen)):
        with torch.no_grad():
            wanted = teacher(batch, {})
        loss = distance(student(batch), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        student.clamp()
        if on_step is not None:
            on_step(i + 1, steps)
    return student.write_to(network)


def distance(have: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Relative squared error of the outputs, plus its mean over the stored tensors."""
    norm = torch.linalg.vector_norm
    errors = torch.stack([norm(x - y) / norm(y).clamp_min(_TINY) for x, y in zip(have, wanted, strict=True)]).square()
    return errors[-1] + errors.mean()


def _batch_size(teacher: Watched, images: Tensor, seen: tuple[int, int]) -> int:
    with torch.no_grad():
        values = sum(tensor.numel() for tensor in teacher(images[:1, :, : seen[0], : seen[1]], {}))
    least, most = _BATCH
    return min(len(images), max(least, min(most, _BATCH_VALUES // values)))


def _batches(images: Tensor, steps: int, size: int, seen: tuple[int, int]) -> Iterator[Tensor]:
    """Batches from one random order of the images after the other, shifted and mirrored; the same at every call."""
    generator = torch.Generator().manual_seed(0)
    left = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(left) < size:
            left = torch.randperm(len(images), generator=generator)
        yield _moved(images[left[:size]], seen, generator).contiguous(memory_format=torch.channels_last)
        left = left[size:]


def _moved(images: Tensor, seen: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Images shifted together by up to an eighth of their size, or crops from one place of them, perhaps mirrored.

    The dense network says itself what it makes of them, so that few images go a longer way.
    """
    height, width = images.shape[2:]
    reach = min(height, width) // _REACH if seen == (height, width) else 0
    places = (height + 2 * reach - seen[0] + 1, width + 2 * reach - seen[1] + 1, 2)
    down, across, mirrored = (int(torch.randint(n, (), generator=generator)) for n in places)
    padded = F.pad(images.flip(3) if mirrored else images, (reach,) * 4, mode="reflect")
    return padded[:, :, down : down + seen[0], across : across + seen[1]]
