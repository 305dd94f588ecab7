"""What everything that a bank computes depends on, as one string."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, fx

import rlcompress
from rlcompress.candidates.store import digest_of
from rlcompress.compensation import Moments

_PACKAGES = (
    "network", "pruning", "quantization", "compensation", "candidates", "integer", "evaluation", "planning", "spec"
)  # fmt: skip


def bank_fingerprint(
    graph: fx.GraphModule, images: Tensor, moments: Mapping[str, Moments], settings: Mapping[str, object]
) -> str:
    """64 hexadecimal digits that differ wherever compressed layers may: a bit of the network, the images or the code.

    Args:
        graph: the network; its modules, code and weights count.
        images: the calibration images [N, C, H, W].
        moments: layer name -> moments of its outputs, which tell networks apart whose operators only look alike.
        settings: of the bank, JSON-able.
    """
    tensors = {**graph.state_dict(), "images": images}
    tensors |= {f"mean of {name}": of.mean for name, of in moments.items()}
    tensors |= {f"std of {name}": of.std for name, of in moments.items()}
    computer = f"{_computer()} {torch.get_num_threads()} threads"
    parts = [computer, str(graph), digest_of(tensors), json.dumps(settings, sort_keys=True)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def _computer() -> str:
    """The version of torch with the processor's kernels, and the code that computes with it."""
    digest = hashlib.sha256()
    root = Path(rlcompress.__file__).parent
    for path in sorted(path for package in _PACKAGES for path in (root / package).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    versions = (rlcompress.__version__, torch.__version__, torch.backends.cpu.get_cpu_capability())
    return " ".join((*versions, digest.hexdigest()))
