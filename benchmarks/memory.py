"""Peak memory of a search's steps on ResNet-50 at 224x224 pixels under a budget.

    python -m benchmarks.memory --memory 6G

A process of its own sets the problem up as `rlcompress search --memory 6G` does, measures rows of the sensitivity
table, fills the bank to its bound, evaluates a policy and finishes it; its peak resident memory (VmHWM) is held against
the budget. Weights and images are random, which memory does not depend on, and what takes time without taking memory is
cut short: the Hessians see one batch of images instead of sixteen, the table's rows end once one whole chunk has
been through the whole network, and all layers but the widest are rounded to nearest instead of swept.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from rlcompress.candidates import Candidates
from rlcompress.candidates import bank as bank_module
from rlcompress.candidates.layer import DenseLayer, Pruning, compress, stages_of
from rlcompress.data import DataSplits, ImageSet
from rlcompress.envs import Problem, ProblemSettings
from rlcompress.hw_models import load as load_hardware
from rlcompress.memory import parse_bytes
from rlcompress.network.pretrained import untrained
from rlcompress.planning import ChoiceSpace, SensitivityRow, measure_sensitivity
from rlcompress.planning.sensitivity import _changes
from rlcompress.quantization import QuantizedWeight, largest_code
from rlcompress.spec import LayerChoice

_HESSIAN_IMAGES = 32
_ROWS = 8
_ACTIVATION_BITS = 8


class _Enough(Exception):  # noqa: N818  # not an error
    """Enough rows have been measured."""


def random_images(count: int, shape: tuple[int, int, int], classes: int) -> ImageSet:
    """Random bytes with random labels."""
    pixels = torch.randint(0, 256, (count, *shape), dtype=torch.uint8)
    return ImageSet(pixels, torch.randint(0, classes, (count,)))


def rounded(
    layer: DenseLayer,
    outputs: Tensor,
    inputs: Tensor,
    pruning: Pruning,
    widths: Sequence[int],
    *,
    deepest: int,
    **how: Any,
) -> dict[int, QuantizedWeight]:
    """`compress` for the widest layers; for others codes of the same size, rounded to nearest."""
    if layer.hessian.shape[1] >= deepest:
        return compress(layer, outputs, inputs, pruning, widths, **how)
    shape = layer.weight.shape
    live = outputs.view(-1, *[1] * (len(shape) - 1)) & inputs.view(1, -1, *[1] * (len(shape) - 2))
    scale = layer.weight.flatten(1).abs().amax(1).clamp_min(1e-9)
    column = scale.view(-1, *[1] * (len(shape) - 1))
    codes = {}
    for bits in widths:
        limit = largest_code(bits)
        code = (layer.weight / column * limit).round_().mul_(live)
        codes[bits] = QuantizedWeight(code.to(torch.int8 if bits <= 8 else torch.int16), scale / limit)
    return codes


def staged(layer: DenseLayer, outputs: Tensor, inputs: Tensor, pruning: Pruning, *, deepest: int) -> Tensor:
    """`stages_of` for the widest layers; for others a tensor of the same size."""
    if layer.hessian.shape[1] >= deepest:
        return stages_of(layer, outputs, inputs, pruning)
    return torch.zeros(layer.grouped.shape, dtype=torch.uint8)


def fill(problem: Problem, deepest: int) -> int:
    """Ask the bank for pruned layers until what it was given would be twice its bound; returns the bytes asked for."""
    dense = {spec.name: LayerChoice() for spec in problem.space.layers}
    asked = 0
    for percent in range(1, 100):
        for spec in problem.space.layers:
            if spec.weights_per_output >= deepest:
                continue
            choice = LayerChoice(granularity="element", keep_ratio=percent / 100)
            problem.bank.weights(spec.name, {**dense, spec.name: choice})
            asked += 9 * spec.weights
        if asked > 2 * problem.memory.bank:
            break
    return asked


def steps(memory: str, network: str, calibration: int, scored: int) -> None:
    """A search's steps, with the peak after each."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    traced, card = untrained(network)
    images = (random_images(count, card.input_shape, card.classes or 2) for count in (calibration, scored))
    data = DataSplits(*images, lambda: random_images(4, card.input_shape, card.classes or 2), "random", card.classes)
    deepest = max(spec.weights_per_output for spec in traced.layers.values())
    say("network and images")
    settings = ProblemSettings(memory=memory, score_images=scored)
    made_up = [
        SensitivityRow(list(traced.layers)[layer], factor, value, 0.01 / value, 0.01 / value)
        for layer, factor, value in _changes(ChoiceSpace(traced.structure, granularities=settings.granularities))
    ]
    with ExitStack() as stack:
        stack.enter_context(
            patch("rlcompress.envs.problem.Candidates", partial(Candidates, hessian_images=_HESSIAN_IMAGES))
        )
        for name, quick in (("compress", rounded), ("stages_of", staged)):
            stack.enter_context(patch.object(bank_module, name, partial(quick, deepest=deepest)))
        problem = Problem.of(traced, card, data, load_hardware("scalable_sparse_16x32"), settings, measured=made_up)
        shares = problem.memory
        print(f"shares: bank {shares.bank:,}, finals {shares.finals:,}, sensitivity {shares.sensitivity:,} bytes")
        say("set-up")
        some = data.calibration.normalized(slice(128), card.mean, card.std)

        def until_enough(done: int, _total: int) -> None:
            if done >= _ROWS:
                raise _Enough

        with suppress(_Enough):
            measure_sensitivity(problem.bank, problem.space, some, until_enough, shares.sensitivity)
        del some
        say("sensitivity table")
        print(f"{fill(problem, deepest):,} bytes of codes asked for")
        say("bank")
        policy = problem.space.uniform(_ACTIVATION_BITS)
        problem.evaluate(policy, "benchmark")
        say("evaluation")
        problem.final(policy)
        say("final network")


def peak_bytes() -> int:
    """VmHWM of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def say(step: str) -> None:
    """Print the peak so far."""
    print(f"{step:20} peak {peak_bytes() / 1e9:5.2f} GB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", default="6G")
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--calibration", type=int, default=1000, help="calibration images")
    parser.add_argument("--scored", type=int, default=16, help="search images")
    parser.add_argument("--here", action="store_true", help="in this process, without a verdict")
    arguments = parser.parse_args()
    if arguments.here:
        steps(arguments.memory, arguments.network, arguments.calibration, arguments.scored)
        return
    command = [sys.executable, "-m", "benchmarks.memory", "--here", *sys.argv[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if child.returncode:
        sys.exit(child.returncode)
    peak, budget = float(lines[-1].split()[-2]), parse_bytes(arguments.memory) / 1e9
    print(f"{arguments.network}: peak {peak:.2f} GB of {budget:g} GB allowed")
    sys.exit(peak > budget)


if __name__ == "__main__":
    main()
