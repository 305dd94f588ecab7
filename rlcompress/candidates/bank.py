"""`Candidates`: compressed layers, computed once and stitched into networks."""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from rlcompress.candidates.checks import (
    check_calibration,
    check_hessians,
    check_weights,
)
from rlcompress.candidates.final import Finisher, OnStep, finishing_images, refit_images
from rlcompress.candidates.fingerprint import bank_fingerprint
from rlcompress.candidates.layer import DenseLayer, Pruning, compress, importance, stages_of
from rlcompress.candidates.memo import Memo
from rlcompress.candidates.ranges import Ranges, fitted_ranges, packed, retuned_ranges, unpacked
from rlcompress.candidates.samples import stored_samples
from rlcompress.candidates.store import BankStore, Key
from rlcompress.candidates.template import lean_copy, quantizable, quantizer_name, with_modules
from rlcompress.candidates.tiers import check_tier, learning_steps
from rlcompress.compensation import (
    InputHessians,
    InputMeans,
    Moments,
    RoundedLayer,
    affine_to,
    local_moments,
    loss_gradients,
    match_moments,
    output_moments,
    rescale,
    shrunk,
    visit_inputs,
)
from rlcompress.errors import RunError
from rlcompress.memory import MemoryShares, return_freed_memory
from rlcompress.network.layers import WeightedLayer, bias_of, weighted
from rlcompress.network.trace import TracedNetwork
from rlcompress.pruning import CRITERIA, NEED_GRADIENTS, Reader, filter_classes, removal_order, voted
from rlcompress.quantization import (
    ActivationQuantizer,
    ActivationRange,
    QuantizedWeight,
    integer_weight,
    keep_codes,
    largest_code,
)
from rlcompress.spec import LayerChoice, check_applies

_WIDTHS = {"uniform": (2, 3, 4, 5, 6, 7, 8), "clustered": (2, 3, 4, 5, 6, 7)}  # that are computed together
_CORRECTED_SHARE = 4  # of the bank's memory that corrected layers take beside it; each has codes of one width
_STAGES_SHARE = 8  # of it that the stages of its layers take beside it: a byte a weight
_Made = TypeVar("_Made")
CORRECTIONS = ("paired", "local")
"""How stitched networks get the dense network's moments; final ones are always paired."""


class Candidates:
    """Compressed layers of one network, and the networks stitched from them.

    Args:
        network: the traced network.
        calibration: unlabelled normalised images [N, C, H, W] of the training set.
        learning: gives further ones for learned rounding, or None; called by tier ``t2`` alone.
        repair: tier of `final`, see `rlcompress.candidates.check_tier`.
        criterion: name of the importance criterion of choices that name none, see `rlcompress.pruning.CRITERIA`.
        hessian_images: how many calibration images the compensation looks at.
        correction_images: how many calibration images the BatchNorm correction looks at.
        range_norm: exponent of the error that activation ranges make least, see `fit_ranges`.
        correction: ``paired`` runs every stitched network on the correction images; ``local`` runs nothing and takes
            what each layer does to its own outputs from its inputs' moments, see `docs/experiments.md`.
        memory: bounds of the compressed layers and finished networks that are kept; None for some that suit most
            machines. With bounds, freed memory goes back to the system whenever something was made that is kept.
        cache: folder in which Hessians and compressed layers are kept for other runs, see `BankStore`; None for none.
            Everything is the same with it and without it.
        on_range: called with (tensors done, tensors in all) while activation ranges are tuned.

    Raises:
        DataError: the calibration set is empty, of the wrong shape, of one colour, or holds or causes values that are
            not finite; the message names the layer or the tensor.
        NetworkError: a layer's weights are not finite.
        RunError: the tier, the criterion or the correction is unknown, or the cache cannot be written.
    """

    def __init__(
        self,
        network: TracedNetwork,
        calibration: Tensor,
        *,
        learning: Callable[[], Tensor | None] = lambda: None,
        repair: str = "t1",
        criterion: str = "obs",
        hessian_images: int = 512,
        correction_images: int = 64,
        range_norm: float = 3.0,
        correction: str = "paired",
        memory: MemoryShares | None = None,
        cache: str | Path | None = None,
        on_range: Callable[[int, int], None] | None = None,
    ) -> None:
        check_weights(network)
        check_calibration(network, calibration)
        if criterion not in CRITERIA:
            raise RunError(f"unknown criterion {criterion!r}; choose from {', '.join(CRITERIA)}")
        check_tier(repair)
        if correction not in CORRECTIONS:
            raise RunError(f"unknown correction {correction!r}; choose from {', '.join(CORRECTIONS)}")
        self.network = network
        self.repair, self._steps = repair, learning_steps(repair)
        self._criterion = criterion
        self._correction = correction
        self._template = quantizable(network)
        self._images = calibration[:correction_images].contiguous(memory_format=torch.channels_last)
        moments = output_moments(self._template, network.layers, self._images)
        settings = {
            "criterion": criterion, "correction": correction, "range_norm": range_norm, "compensated": repair != "none",
            "images": [hessian_images, correction_images], "round_to": [spec.round_to for spec in network.specs],
        }  # fmt: skip
        self._store = None
        if cache is not None:
            self._store = BankStore(Path(cache), bank_fingerprint(self._template, calibration, moments, settings))
        self.hessian_images = hessian_images
        """How many calibration images weights are fitted to at most."""
        images = calibration[:hessian_images]
        inputs = self.kept(["inputs"], lambda: _input_moments(self._template, network.layers, images))
        hessians, self._means = ({n: inputs[f"{kind} {n}"] for n in network.layers} for kind in ("second", "mean"))
        check_hessians(hessians)
        gradients: dict[str, Tensor] = {}
        if criterion in NEED_GRADIENTS:
            gradients = self.kept(["gradients"], lambda: loss_gradients(self._template, network.layers, images))
        self._dense = {
            n: DenseLayer(network.layer(n).weight.detach(), hessians[n], gradients.get(n)) for n in network.layers
        }
        self._moments = {n: of.with_unseen(self._local_moments(n)) for n, of in moments.items()}
        self._seen = {
            name: frozenset(map(int, network.classes[name])) | frozenset(map(int, network.input_classes[name]))
            for name in network.layers
        }
        refitted_to = refit_images(self._template, network.layers)
        most = finishing_images(refitted_to)
        finishing = _joined(calibration, learning()) if self._steps else calibration[:most].clone()
        self.learning_images = len(finishing) if self._steps else 0
        """How many images learned rounding looks at."""
        self._finisher = Finisher(self._template, finishing, refitted_to, self._moments, correction_images)
        stored = set(network.reads.values())
        samples = self.kept(["samples"], lambda: stored_samples(self._template, stored, calibration))
        self.densities = {layer: float(samples[f"density {name}"]) for layer, name in network.reads.items()}
        """Layer name -> share of nonzero inputs on the calibration images."""
        self._scores, self._removed = Memo(self._filter_scores), Memo(self._removed_classes)
        self._bounded, memory = memory is not None, memory or MemoryShares()
        self._weights = Memo(self._compress, memory.bank, _stored_bytes)
        self._corrected = Memo(self._correct, memory.bank // _CORRECTED_SHARE, _module_bytes)
        self._quantizer, self._stages = (
            Memo(self._quantizer_of),
            Memo(self._stages_of, memory.bank // _STAGES_SHARE, _bytes),
        )
        self._finals = Memo(self._finish, memory.finals, _module_bytes)
        self._ranges = fitted_ranges(samples, range_norm)
        self._ranges = self._settled(self._tuned_ranges(finishing, on_range))
        self.on_step: OnStep | None = None
        """Called with (steps done, steps in all) of learned rounding."""

    def _tuned_ranges(self, images: Tensor, on_range: Callable[[int, int], None] | None) -> Ranges:
        if self.repair == "none":
            return self._ranges

        def compute() -> dict[str, Tensor]:
            plain = self.stitch_locally(dict.fromkeys(self.network.layers, LayerChoice()))
            return packed(retuned_ranges(self._template, plain, self._ranges, images, on_range))

        return unpacked(self.kept(["ranges"], compute))

    def _settled(self, made: _Made) -> _Made:
        """Something that stays, for which other things were made that do not."""
        if self._bounded:
            return_freed_memory()
        return made

    def kept(self, key: Key, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """What ``compute`` gives for this network, images and settings, from the cache where that has it."""
        return dict(compute()) if self._store is None else self._store.tensors(key, compute)

    def template(self) -> fx.GraphModule:
        """A copy of the dense network with quantizers that pass everything through."""
        return copy.deepcopy(self._template)

    def range(self, layer: str, bits: int) -> ActivationRange:
        """The range at which the tensor that a layer reads is rounded."""
        return self._ranges[self.network.reads[layer]][bits]

    def weights(self, layer: str, choices: Mapping[str, LayerChoice]) -> QuantizedWeight:
        """Codes and scales of one layer under a whole policy, which removes channels around it.

        Removed weights, input and output channels have code 0; scales of removed outputs are 1.

        Raises:
            PolicyError: the layer cannot be pruned at the granularity and keep ratio that it is given.
        """
        choice = choices[layer]
        check_applies(self.network.layers[layer], choice)
        removed = self.removed_classes(choices)
        relevant = removed & self._seen[layer]
        return self._at_width(layer, choice.weight_quantizer, self._pruning(choice), relevant, choice.weight_bits)

    def removed_classes(self, choices: Mapping[str, LayerChoice]) -> frozenset[int]:
        """Channel classes that a policy's filter pruning removes from the network."""
        structure = self.network.structure
        removed: set[int] = set()
        for group, leader in structure.leader.items():
            choice = None if leader is None else choices[structure.layers[leader]]
            if choice is not None and choice.granularity == "filter":
                removed |= self._removed(group, self._pruning(choice))
        return frozenset(removed)

    def stitch(self, choices: Mapping[str, LayerChoice]) -> fx.GraphModule:
        """The compressed network that a policy describes, with float weights that equal codes times scales.

        Args:
            choices: layer name -> choice for every compressible layer.

        Returns:
            A module in eval mode, channels_last, that maps images [N, C, H, W] to the network's output. Its graph is
            shared between all of them; copy it (`copy.deepcopy`) before changing it.
        """
        paired = self._correction == "paired" and self.repair != "none"
        return self._paired(choices) if paired else self.stitch_locally(choices)

    def stitch_locally(self, choices: Mapping[str, LayerChoice]) -> fx.GraphModule:
        """`stitch` with local correction, whatever the bank's own; without any where nothing is repaired.

        Networks share the layers that they have in common, so leave them as they are.
        """
        removed, layers = self.removed_classes(choices), {}
        for name, choice in choices.items():
            check_applies(self.network.layers[name], choice)
            values = choice.weight_quantizer, choice.weight_bits
            layers[name] = self._corrected(name, self._pruning(choice), removed & self._seen[name], *values)
        quantizers = {stored: self._quantizer(stored, bits) for stored, bits in self._widths(choices).items()}
        return self._stitched(layers, quantizers)

    def _paired(self, choices: Mapping[str, LayerChoice]) -> fx.GraphModule:
        removed = self.removed_classes(choices)
        layers = {name: self._layer(name, self.weights(name, choices), removed) for name in self.network.layers}
        quantizers = {stored: self._quantizer_of(stored, bits) for stored, bits in self._widths(choices).items()}
        network = self._stitched(layers, quantizers)
        match_moments(network, self._moments, self._images)
        return network

    def _stitched(self, layers: Mapping[str, nn.Module], quantizers: Mapping[str, nn.Module]) -> fx.GraphModule:
        """The template with layers by their names and quantizers by those of the tensors that they round."""
        named = {quantizer_name(stored): quantizer for stored, quantizer in quantizers.items()}
        return with_modules(self._template, {**layers, **named})

    def _quantizer_of(self, stored: str, bits: int) -> ActivationQuantizer:
        quantizer = ActivationQuantizer()
        quantizer.range = self._ranges[stored][bits]
        return quantizer

    def _layer(self, name: str, weight: QuantizedWeight, removed: frozenset[int]) -> WeightedLayer:
        """A layer with compressed weights; removed outputs lose their bias."""
        layer = lean_copy(weighted(self._template, name))
        layout = torch.channels_last if weight.codes.dim() == 4 else torch.contiguous_format
        layer.weight = _fixed(weight.dequantized().contiguous(memory_format=layout))
        layer.bias = _fixed(bias_of(layer) * self._live(name, removed)[0])
        keep_codes(layer, weight)
        return layer

    def _correct(
        self, name: str, pruning: Pruning, removed: frozenset[int], quantizer: str, bits: int
    ) -> WeightedLayer:
        """A compressed layer with the dense layer's moments on the dense network's inputs."""
        layer = self._layer(name, self._at_width(name, quantizer, pruning, removed, bits), removed)
        if self.repair != "none":
            have, want = self._local_moments(name, layer), self._local_moments(name)
            rescale(layer, *affine_to(have, want, ~self._live(name, removed)[0]))
        return layer

    def _local_moments(self, name: str, layer: WeightedLayer | None = None) -> Moments:
        """Moments of the outputs of a layer, or of one in its place, on the inputs of the Hessians' images."""
        layer = layer or weighted(self._template, name)
        return local_moments(layer.weight, bias_of(layer), self._dense[name].hessian, self._means[name])

    def final(self, choices: Mapping[str, LayerChoice]) -> fx.GraphModule:
        """`stitch` with the repair that only policies that are kept get: the same choices give the same network.

        Weights are fitted once more in sequence (some seconds on a CPU); tier ``t2`` then learns the rounding
        (minutes). Clustered weights stay as they are. On calibration images the outputs come no farther from the dense
        network's by any of it. Tier ``none`` does nothing.

        Args:
            choices: layer name -> choice for every compressible layer.

        Returns:
            A network as `stitch` gives it; the last ones are kept, so leave it as it is.
        """
        return self._finals(*choices.items())

    def _finish(self, *entries: tuple[str, LayerChoice]) -> fx.GraphModule:
        choices = dict(entries)
        if self.repair == "none":
            return self.stitch_locally(choices)
        paired, finisher = self._settled(self._paired(choices)), self._finisher
        refitted = self._settled(finisher.refitted(paired, self._all_rounded(choices, paired)))
        if self._steps == 0:
            return refitted
        layers = self._all_rounded(choices, refitted)
        return self._settled(finisher.learned(refitted, layers, self._steps, self.on_step))

    def _all_rounded(self, choices: Mapping[str, LayerChoice], network: fx.GraphModule) -> dict[str, RoundedLayer]:
        """Where a further fit of a network's layers starts, but for those whose weights are clustered."""
        uniform = (name for name, choice in choices.items() if choice.weight_quantizer == "uniform")
        return {name: self._rounded(name, choices, network) for name in uniform}

    def _rounded(self, layer: str, choices: Mapping[str, LayerChoice], network: fx.GraphModule) -> RoundedLayer:
        """Where a further fit of a layer starts; weights that pruning has removed stay so."""
        choice, weight = choices[layer], integer_weight(weighted(network, layer))
        assert weight is not None
        kept = weight.codes != 0
        if choice.granularity in ("none", "filter"):
            rows, columns = self._live(layer, self.removed_classes(choices))
            kept = (rows[:, None] & columns).view(*kept.shape[:2], *[1] * (kept.dim() - 2)).expand_as(kept)
        return RoundedLayer(weight, kept, largest_code(choice.weight_bits))

    def _widths(self, choices: Mapping[str, LayerChoice]) -> dict[str, int]:
        """Stored tensor -> its bit-width, the largest that one of its readers asks for."""
        widths: dict[str, int] = {}
        for layer, stored in self.network.reads.items():
            widths[stored] = max(widths.get(stored, 0), choices[layer].activation_bits)
        return widths

    def _pruning(self, choice: LayerChoice) -> Pruning:
        criterion = self._criterion if choice.criterion == "default" else choice.criterion
        return Pruning(choice.granularity, choice.keep_ratio, criterion, self.network.specs[0].round_to)

    def _removed_classes(self, group: str, pruning: Pruning) -> frozenset[int]:
        """Classes of a coupling group that go when its filters are pruned so."""
        classes = self._coupled(group)
        kept = filter_classes(self._scores(group, pruning.criterion), classes, pruning.keep_ratio, pruning.round_to)
        return frozenset(int(c) for own in classes.values() for c in own) - kept

    def _filter_scores(self, group: str, criterion: str) -> dict[int, float]:
        """How much each class of a coupling group is worth; ``obs`` asks the layers that read it, others its own."""
        classes = self._coupled(group)
        removable = {int(c) for own in classes.values() for c in own}
        readers = self._readers(removable) if criterion == "obs" else []
        if readers:
            return {c: float(i) for i, c in enumerate(removal_order(readers, removable))}
        return voted({name: importance(self._dense[name], criterion) for name in classes}, classes)

    def _coupled(self, group: str) -> dict[str, NDArray[np.int64]]:
        """Layer name -> classes of its output channels, of the layers of a coupling group."""
        return {n: self.network.classes[n] for n, spec in self.network.layers.items() if spec.coupling == group}

    def _readers(self, classes: set[int]) -> list[Reader]:
        """Layers that sum over channels of these classes; a depthwise layer hands them on."""
        names = [name for name, spec in self.network.layers.items() if spec.groups == 1]
        seen = {name: list(map(int, self.network.input_classes[name])) for name in names}
        dense = {name: self._dense[name] for name in names if classes & set(seen[name])}
        return [Reader(layer.grouped[0], layer.hessian[0], seen[name]) for name, layer in dense.items()]

    def _at_width(
        self, layer: str, quantizer: str, pruning: Pruning, removed: frozenset[int], bits: int
    ) -> QuantizedWeight:
        widths = _WIDTHS[quantizer]
        return self._weights(layer, quantizer, pruning, removed, widths if bits in widths else (bits,))[bits]

    def _compress(
        self, layer: str, quantizer: str, pruning: Pruning, removed: frozenset[int], widths: tuple[int, ...]
    ) -> dict[int, QuantizedWeight]:
        def compute() -> dict[str, Tensor]:
            compensated = self.repair != "none"
            gradual = compensated and pruning.gradual
            weights = compress(
                self._dense[layer], *self._live(layer, removed), pruning, widths,
                quantizer=quantizer, compensated=compensated,
                count=self._stages(layer, replace(pruning, keep_ratio=1.0), removed) if gradual else None,
            )  # fmt: skip
            return _packed(weights)

        tensors = self._settled(self.kept([layer, quantizer, *widths, *astuple(pruning), *sorted(removed)], compute))
        return {bits: QuantizedWeight(tensors[f"codes {bits}"], tensors[f"scale {bits}"]) for bits in widths}

    def _stages_of(self, layer: str, pruning: Pruning, removed: frozenset[int]) -> Tensor:
        def compute() -> dict[str, Tensor]:
            return {"count": stages_of(self._dense[layer], *self._live(layer, removed), pruning)}

        return self._settled(self.kept([layer, "stages", *astuple(pruning), *sorted(removed)], compute))["count"]

    def _live(self, layer: str, removed: frozenset[int]) -> tuple[Tensor, Tensor]:
        """[K] and [C / G], whether an output channel and an input of a row stay."""
        outputs = torch.from_numpy(~np.isin(self.network.classes[layer], list(removed)))
        if self.network.layers[layer].groups > 1:  # a depthwise channel sees itself alone
            return outputs, torch.ones(self._dense[layer].weight.shape[1], dtype=torch.bool)
        inputs = torch.from_numpy(~np.isin(self.network.input_classes[layer], list(removed)))
        if not bool(inputs.any()):  # a part split off a tensor may have lost every channel
            inputs[0] = True
        return outputs, inputs


def _joined(images: Tensor, further: Tensor | None) -> Tensor:
    return images if further is None else torch.cat([images, further])


def _packed(weights: dict[int, QuantizedWeight]) -> dict[str, Tensor]:
    """Weights by width as tensors by name."""
    parts = {bits: {"codes": weight.codes, "scale": weight.scale} for bits, weight in weights.items()}
    return {f"{name} {bits}": tensor for bits, named in parts.items() for name, tensor in named.items()}


def _input_moments(network: nn.Module, layers: Iterable[str], images: Tensor) -> dict[str, Tensor]:
    """What `input_hessians` gives, `shrunk`, as ``second NAME``, and the means of the same inputs, as ``mean NAME``."""
    hessians, means = InputHessians(), InputMeans()
    visit_inputs(network, layers, images, hessians.add, means.add)
    mean = means.result()
    second = {name: shrunk(of, mean[name], hessians.columns[name]) for name, of in hessians.result().items()}
    kinds = {"second": second, "mean": mean}
    return {f"{kind} {name}": tensor for kind, found in kinds.items() for name, tensor in found.items()}


def _fixed(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


def _stored_bytes(weights: dict[int, QuantizedWeight]) -> int:
    return sum(weight.codes.nbytes + weight.scale.nbytes for weight in weights.values())


def _bytes(tensor: Tensor) -> int:
    return tensor.nbytes


def _module_bytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
