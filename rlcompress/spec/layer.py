"""`LayerSpec`: one operator of a network as an accelerator sees it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from rlcompress.errors import NetworkError

COMPRESSIBLE_KINDS = ("conv", "depthwise", "linear")
"""Kinds that hold weights, for which a policy has a choice unless they are `LayerSpec.fixed`."""

KINDS = (*COMPRESSIBLE_KINDS, "matmul", "pool", "add")
"""All kinds; those without weights cost traffic, vector cycles or MACs but take no choice."""

MAX_SIZE = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """Shape of one operator for one input image, in the dimension letters N K C P Q R S G.

    A linear layer has P = Q = R = S = 1 and C inputs. A depthwise convolution has K outputs in ``groups`` = C
    groups. ``add`` and ``pool`` have K = C.

    Attributes:
        name: full module name (``layer1.0.conv1``), or the graph's name of an operator without a module.
        kind: one of `KINDS`.
        out_channels: K.
        in_channels: C, over all groups.
        out_height: P, in pixels.
        out_width: Q, in pixels.
        in_height: H, in pixels.
        in_width: W, in pixels.
        kernel_height: R.
        kernel_width: S.
        stride: of the window, the same in both directions.
        groups: G; every group sees C / G inputs.
        inputs: names of the specs whose outputs are read; empty when the network's input is read. Several names
            mean a sum for ``add`` and a concatenation of channels for every other kind.
        coupling: name of the group of layers whose output channels can only be removed together (residual sums,
            depthwise convolutions), or None when they cannot be removed (the network's outputs).
        strata: sizes of the parts of the output channels that are kept in proportion, each on its own; they add
            up to K. More than one where only some channels are shared with other layers of the group.
        input_density: share of nonzero input activations, 0 to 1, profiled on calibration images; 1 if unknown.
        round_to: where ``filter`` removes outputs, a multiple of it stays of each of the strata, and where ``channel``
            removes inputs, of those; see `rlcompress.spec.keep_counts`.
        fixed: whether it holds weights, but no policy changes it: it runs dense at 8 bits.

    Raises:
        NetworkError: a size is not positive or beyond all networks, the kind is unknown, or strata do not add up to K.
    """

    name: str
    kind: str
    out_channels: int
    in_channels: int
    out_height: int = 1
    out_width: int = 1
    in_height: int = 1
    in_width: int = 1
    kernel_height: int = 1
    kernel_width: int = 1
    stride: int = 1
    groups: int = 1
    inputs: tuple[str, ...] = ()
    coupling: str | None = None
    strata: tuple[int, ...] = ()
    input_density: float = 1.0
    round_to: int = 1
    fixed: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise NetworkError(f"layer {self.name!r}: unknown kind {self.kind!r}; choose from {', '.join(KINDS)}")
        if not self.strata:
            object.__setattr__(self, "strata", (self.out_channels,))
        channels = (self.out_channels, self.in_channels, self.groups, *self.strata)
        window = (self.kernel_height, self.kernel_width, self.stride)
        sizes = (*channels, self.out_height, self.out_width, self.in_height, self.in_width, *window, self.round_to)
        if min(sizes) < 1 or max(sizes) > MAX_SIZE:
            raise NetworkError(f"layer {self.name!r}: every size must be 1 to {MAX_SIZE}, got {sizes}")
        if sum(self.strata) != self.out_channels:
            raise NetworkError(f"layer {self.name!r}: strata {self.strata} do not add up to {self.out_channels}")
        if not 0.0 <= self.input_density <= 1.0:
            raise NetworkError(f"layer {self.name!r}: input_density {self.input_density} is not between 0 and 1")

    @property
    def compressible(self) -> bool:
        """Whether a policy has a choice for this operator."""
        return self.kind in COMPRESSIBLE_KINDS and not self.fixed

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense operator for one image; 0 for ``add`` and ``pool``."""
        if self.kind in ("add", "pool"):
            return 0
        return self.out_height * self.out_width * self.out_channels * self.weights_per_output

    @property
    def weights_per_output(self) -> int:
        """Weights that one output channel has: C / G * R * S; 0 for kinds without weights but ``matmul``."""
        if self.kind in ("add", "pool"):
            return 0
        return self.in_channels // self.groups * self.kernel_height * self.kernel_width

    @property
    def weights(self) -> int:
        """Number of weights without biases; the second activation operand counts for ``matmul``."""
        return self.out_channels * self.weights_per_output

    @property
    def input_elements(self) -> int:
        """Activations of one image that the operator reads, of one operand for ``add``."""
        return self.in_channels * self.in_height * self.in_width

    @property
    def output_elements(self) -> int:
        """Activations of one image that the operator writes."""
        return self.out_channels * self.out_height * self.out_width


def rounded_to(specs: Sequence[LayerSpec], round_to: int) -> tuple[LayerSpec, ...]:
    """The same operators, keeping channels in multiples of ``round_to``."""
    return tuple(replace(spec, round_to=round_to) for spec in specs)


def as_row(spec: LayerSpec) -> dict[str, object]:
    """A spec's attributes; ``fixed`` only where it is."""
    return {name: value for name, value in asdict(spec).items() if name != "fixed" or value}


def fingerprint(specs: Sequence[LayerSpec]) -> str:
    """Identify a network's structure (names, kinds, shapes, connections; not weights) by 16 hexadecimal digits."""
    rows = [{k: v for k, v in as_row(spec).items() if k not in ("input_density", "round_to")} for spec in specs]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]
