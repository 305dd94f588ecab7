"""Which granularities and keep ratios a layer's shape allows."""

from collections.abc import Callable, Sequence

from rlcompress.errors import PolicyError
from rlcompress.spec.choice import GRANULARITIES, LayerChoice
from rlcompress.spec.layer import LayerSpec

_N_OF_M_GROUP = 4

FIXED_KEEP_RATIOS: dict[str, tuple[float, ...]] = {"n:m": (0.25, 0.5), "pattern": (0.45,)}
"""The keep ratios of granularities whose form fixes them: 1:4 and 2:4, and 4 of 9 to the next step of the grid."""


def _inputs(spec: LayerSpec) -> int:
    return spec.in_channels // spec.groups


_APPLIES: dict[str, Callable[[LayerSpec], bool]] = {
    "n:m": lambda spec: _inputs(spec) % _N_OF_M_GROUP == 0,
    "block": lambda spec: _inputs(spec) > 1,
    "pattern": lambda spec: (spec.kernel_height, spec.kernel_width) == (3, 3),
    "kernel": lambda spec: spec.kernel_height * spec.kernel_width > 1 and _inputs(spec) > 1,
    "channel": lambda spec: spec.groups == 1 and _inputs(spec) > 1,
    "filter": lambda spec: spec.coupling is not None,
}


def applies(granularity: str, spec: LayerSpec) -> bool:
    """Whether a layer can be pruned at a granularity.

    n:m wants inputs in whole groups of 4, patterns 3x3 windows, kernels a window of more than one weight, filters
    outputs that may go; blocks, kernels and channels want more than the one input of a depthwise convolution.

    >>> applies("pattern", LayerSpec(name="a", kind="conv", out_channels=8, in_channels=8))
    False
    """
    return granularity not in _APPLIES or _APPLIES[granularity](spec)


def offered_keep_ratios(granularity: str, grid: Sequence[float]) -> list[float]:
    """The keep ratios below 1 that a granularity offers on an ascending grid."""
    if granularity == "none":
        return []
    fixed = FIXED_KEEP_RATIOS.get(granularity, grid)
    return [float(ratio) for ratio in fixed if grid[0] <= ratio < 1.0]


def check_applies(spec: LayerSpec, choice: LayerChoice) -> None:
    """Check that a layer can be pruned as a choice says.

    Raises:
        PolicyError: its shape does not allow the granularity, or the granularity not the keep ratio.
    """
    name, fixed = choice.granularity, FIXED_KEEP_RATIOS.get(choice.granularity)
    if not applies(name, spec):
        fitting = ", ".join(g for g in GRANULARITIES if applies(g, spec))
        raise PolicyError(f"layer {spec.name!r}: its shape cannot be pruned by {name!r}; choose from {fitting}")
    if fixed is not None and choice.keep_ratio not in fixed:
        ratios = " or ".join(map(str, fixed))
        raise PolicyError(
            f"layer {spec.name!r}: {name!r} keeps {ratios}, not {choice.keep_ratio}; set keep_ratio to it"
        )
