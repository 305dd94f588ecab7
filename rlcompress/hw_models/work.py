"""`Work`: what every operator of every policy asks of the accelerator, as flat arrays.

Dimension letters: N images, K outputs, C inputs, P x Q output pixels, R x S kernel, H x W input pixels, G groups
(Eyeriss writes M, E, F, H and U for K, P, Q, H and the stride).
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from rlcompress.spec import GRANULARITIES, KINDS, WEIGHT_QUANTIZERS, LayerSpec

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

CONV, DEPTHWISE, LINEAR, MATMUL, POOL, ADD = (KINDS.index(k) for k in KINDS)
KILOBYTE_BITS = 8 * 1024.0
CLUSTERED = WEIGHT_QUANTIZERS.index("clustered")
COARSE = tuple(GRANULARITIES.index(g) for g in ("none", "channel", "filter"))


@dataclass(frozen=True, slots=True)
class Work:
    """N operator instances.

    Attributes:
        kind: position in `KINDS`.
        K: output channels that stay.
        C: input channels that stay, over all groups.
        G: groups that stay.
        P: output rows.
        Q: output columns.
        R: kernel rows.
        S: kernel columns.
        H: input rows.
        W: input columns.
        stride: of the window.
        weight_bits: width at which the weights (the second activation operand for matmul) run through the array.
        stored_width: width at which a weight is stored and moved: that of its index where weights are clustered.
        codebook_bits: of the values that the indices stand for; 0 where weights are not clustered.
        activation_bits: width at which the input runs through the array.
        input_bits: width at which the input is stored (widest reader).
        output_bits: width at which the output is stored.
        granularity: position in `GRANULARITIES`.
        density: share of the remaining weights that is not zero.
        input_density: share of nonzero input activations.
        input_off_chip: share of the input that has to come from DRAM.
        output_density: share of nonzero output activations.
        weights_off_chip: share of the weights that does not stay on chip between inferences.
        output_off_chip: 1 where the output goes to DRAM, 0 where it stays on chip.
        first: whether the network's input is read.
        joins: whether several outputs are read as one.
        hidden: whether the operator works on its producer's tiles, so that its time is the producer's.
        hidden_bits: DRAM traffic of the operators that work on this one's tiles.
    """

    kind: Ints
    K: Floats
    C: Floats
    G: Floats
    P: Floats
    Q: Floats
    R: Floats
    S: Floats
    H: Floats
    W: Floats
    stride: Floats
    weight_bits: Floats
    stored_width: Floats
    codebook_bits: Floats
    activation_bits: Floats
    input_bits: Floats
    output_bits: Floats
    granularity: Ints
    density: Floats
    input_density: Floats
    input_off_chip: Floats
    output_density: Floats
    weights_off_chip: Floats
    output_off_chip: Floats
    first: Bools
    joins: Bools
    hidden: Bools
    hidden_bits: Floats

    @property
    def group_inputs(self) -> Floats:
        """Input channels that one output sees."""
        return np.ceil(self.C / self.G)

    @property
    def group_outputs(self) -> Floats:
        """Output channels of one group."""
        return np.ceil(self.K / self.G)

    @property
    def computes(self) -> Bools:
        """Whether the operator runs on the MAC array."""
        return np.asarray((self.kind != POOL) & (self.kind != ADD))

    @property
    def weights(self) -> Floats:
        """Weights that stay in shape (zeros among them included); 0 for pool and add."""
        return np.where(self.computes, self.K * self.group_inputs * self.R * self.S, 0.0)

    @property
    def macs(self) -> Floats:
        """Multiply-accumulates of one image on the remaining shape, zeros included."""
        return self.weights * self.P * self.Q

    @property
    def inputs(self) -> Floats:
        """Input activations, both operands for ``add``."""
        return self.C * self.H * self.W * np.where(self.kind == ADD, 2.0, 1.0)

    @property
    def padded_inputs(self) -> Floats:
        """Input activations with the padding that the windows of the array kinds reach into."""
        window = ((self.P - 1) * self.stride + self.R) * ((self.Q - 1) * self.stride + self.S)
        return np.where(self.computes, self.C * window, self.inputs)

    @property
    def outputs(self) -> Floats:
        """Output activations."""
        return self.K * self.P * self.Q

    def take(self, index: NDArray[np.intp]) -> "Work":
        """The instances at ``index``."""
        return Work(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def static_arrays(specs: tuple[LayerSpec, ...]) -> dict[str, NDArray[np.float64]]:
    """Sizes of S specs that no choice changes, as arrays [S] under the names of `Work`."""
    names = {
        "P": "out_height",
        "Q": "out_width",
        "R": "kernel_height",
        "S": "kernel_width",
        "H": "in_height",
        "W": "in_width",
        "stride": "stride",
        "input_density": "input_density",
    }
    return {key: np.array([getattr(spec, name) for spec in specs], np.float64) for key, name in names.items()}
