"""`Candidates`: compressed layers, computed once and stitched into networks."""

import copy
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from rlcompress.candidates.layer import DenseLayer, compress, importance
from rlcompress.candidates.template import StoredTensors, quantizable, quantizer_name
from rlcompress.compensation import input_hessians, match_moments, output_moments
from rlcompress.errors import DataError, PolicyError, RunError
from rlcompress.network.layers import bias_of, weighted
from rlcompress.network.trace import TracedNetwork
from rlcompress.pruning import CRITERIA, filter_classes
from rlcompress.quantization import ActivationRange, QuantizedWeight, fit_ranges
from rlcompress.spec import REFERENCE_BITS, LayerChoice

SUPPORTED_GRANULARITIES = ("none", "element", "filter")
"""Granularities that candidates can be made of."""

_WIDTHS = (2, 3, 4, 5, 6, 7, 8, REFERENCE_BITS)
_RANGE_SAMPLES = 32768  # values per tensor that activation ranges are fitted on
_BANK_ENTRIES = 1024


class Candidates:
    """Compressed layers of one network, and the networks stitched from them.

    Args:
        network: the traced network.
        calibration: unlabelled normalised images [N, C, H, W] of the training set.
        criterion: name of the importance criterion, see `rlcompress.pruning.CRITERIA`.
        hessian_images: how many calibration images the compensation looks at.
        correction_images: how many calibration images the BatchNorm correction looks at.

    Raises:
        DataError: the calibration set is empty, or holds or causes values that are not finite.
        RunError: the criterion is unknown.
    """

    def __init__(
        self,
        network: TracedNetwork,
        calibration: Tensor,
        *,
        criterion: str = "activation",
        hessian_images: int = 512,
        correction_images: int = 64,
    ) -> None:
        if len(calibration) == 0:
            raise DataError("calibration set is empty; give at least one training image")
        if criterion not in CRITERIA:
            raise RunError(f"unknown criterion {criterion!r}; choose from {', '.join(CRITERIA)}")
        self.network = network
        self._criterion = criterion
        self._template = quantizable(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._images = calibration[:correction_images].contiguous(memory_format=torch.channels_last)
        hessians = input_hessians(self._template, network.layers, calibration[:hessian_images])
        self._dense = {n: DenseLayer(network.layer(n).weight.detach(), hessians[n]) for n in network.layers}
        self._seen = {
            name: frozenset(map(int, network.classes[name])) | frozenset(map(int, network.input_classes[name]))
            for name in network.layers
        }
        self._moments = output_moments(self._template, network.layers, self._images)
        stored = _stored_tensors(self._template, set(network.reads.values()), self._images)
        self._ranges = {name: fit_ranges(_samples(name, x), _WIDTHS) for name, x in stored.items()}
        nonzero = {name: float((x != 0).float().mean()) for name, x in stored.items()}
        self.densities = {layer: nonzero[name] for layer, name in network.reads.items()}
        """Layer name -> share of nonzero inputs on the calibration images."""
        self._kept_classes = lru_cache(maxsize=None)(self._choose_classes)
        self._weights = lru_cache(maxsize=_BANK_ENTRIES)(self._compress)

    def template(self) -> torch.fx.GraphModule:
        """A copy of the dense network with quantizers that pass everything through."""
        return copy.deepcopy(self._template)

    def range(self, layer: str, bits: int) -> ActivationRange:
        """The range at which the tensor that a layer reads is rounded."""
        return self._ranges[self.network.reads[layer]][bits]

    def weights(self, layer: str, choices: Mapping[str, LayerChoice]) -> QuantizedWeight:
        """Codes and scales of one layer under a whole policy, which removes channels around it.

        Removed weights, input and output channels have code 0; scales of removed outputs are 1.

        Raises:
            PolicyError: the layer's granularity is none of `SUPPORTED_GRANULARITIES`.
        """
        choice = choices[layer]
        if choice.granularity not in SUPPORTED_GRANULARITIES:
            raise PolicyError(
                f"layer {layer!r}: candidates cannot be made with granularity {choice.granularity!r}; "
                f"choose from {', '.join(SUPPORTED_GRANULARITIES)}"
            )
        removed = self.removed_classes(choices)
        relevant = removed & self._seen[layer]
        return self._weights(layer, choice.granularity, choice.keep_ratio, relevant)[choice.weight_bits]

    def removed_classes(self, choices: Mapping[str, LayerChoice]) -> frozenset[int]:
        """Channel classes that a policy's filter pruning removes from the network."""
        structure = self.network.structure
        removed: set[int] = set()
        for group, leader in structure.leader.items():
            if leader is not None and choices[structure.layers[leader]].granularity == "filter":
                removed |= self._kept_classes(group, choices[structure.layers[leader]].keep_ratio)
        return frozenset(removed)

    def stitch(self, choices: Mapping[str, LayerChoice]) -> nn.Module:
        """The compressed network that a policy describes, with float weights that equal codes times scales.

        Args:
            choices: layer name -> choice for every compressible layer.

        Returns:
            A module in eval mode, channels_last, that maps images [N, C, H, W] to the network's output.
        """
        network = self.template()
        removed = self.removed_classes(choices)
        for name in self.network.layers:
            layer = weighted(network, name)
            layer.weight.copy_(self.weights(name, choices).dequantized())
            bias_of(layer).mul_(torch.from_numpy(~np.isin(self.network.classes[name], list(removed))))
        for stored, bits in self._widths(choices).items():
            network.get_submodule(quantizer_name(stored)).range = self._ranges[stored][bits]  # type: ignore[assignment]
        match_moments(network, self._moments, self._images)
        return network

    def _widths(self, choices: Mapping[str, LayerChoice]) -> dict[str, int]:
        """Stored tensor -> its bit-width, the largest that one of its readers asks for."""
        widths: dict[str, int] = {}
        for layer, stored in self.network.reads.items():
            widths[stored] = max(widths.get(stored, 0), choices[layer].activation_bits)
        return widths

    def _choose_classes(self, group: str, keep_ratio: float) -> frozenset[int]:
        """Classes of a coupling group that go at a keep ratio."""
        names = [spec.name for spec in self.network.layers.values() if spec.coupling == group]
        scores = {name: importance(self._dense[name], self._criterion) for name in names}
        kept = filter_classes(scores, self.network.classes, keep_ratio)
        return frozenset({int(c) for name in names for c in self.network.classes[name]} - kept)

    def _compress(
        self, layer: str, granularity: str, keep_ratio: float, removed: frozenset[int]
    ) -> dict[int, QuantizedWeight]:
        outputs = torch.from_numpy(~np.isin(self.network.classes[layer], list(removed)))
        inputs = torch.from_numpy(~np.isin(self.network.input_classes[layer], list(removed)))
        if self.network.layers[layer].groups > 1:  # a depthwise channel sees itself alone
            inputs = torch.ones(self._dense[layer].weight.shape[1], dtype=torch.bool)
        share = keep_ratio if granularity == "element" else 1.0
        return compress(self._dense[layer], outputs, inputs, share, self._criterion, _WIDTHS)


@torch.no_grad()
def _stored_tensors(graph: torch.fx.GraphModule, names: set[str], images: Tensor) -> dict[str, Tensor]:
    run = StoredTensors(graph, names)
    run.run(images)
    return run.values


def _samples(name: str, values: Tensor) -> Tensor:
    """An evenly spread sample of a tensor's values.

    Raises:
        DataError: a value is not finite.
    """
    if not bool(values.isfinite().all()):
        raise DataError(f"calibration images give values that are not finite at {name!r}; check weights and mean/std")
    flat = values.flatten()
    return flat[:: max(1, len(flat) // _RANGE_SAMPLES)]
