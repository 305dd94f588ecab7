"""Takes many architectures through trace, a random mixed policy, thinning and export.

``python -m benchmarks.networks [--only a,b] [--seed 0]`` prints a row for each: layers with weights (compressible, and
those that pass through dense), coupling groups, share of the parameters that is left, whether the thinned, the reloaded
and the onnxruntime network give the same logits as the masked one (* where onnxruntime need not be exact), and
seconds. Weights are random and rounded to nearest: this is about structure, not accuracy. Images are small; widths are
the papers' but for U-Net's (a quarter) and AlexNet's linear layers.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, fx, nn

from benchmarks.architectures import ARCHITECTURES
from rlcompress.candidates.template import StoredTensors, quantizable, quantizer_name
from rlcompress.export import load
from rlcompress.export.exporting import recorded
from rlcompress.export.onnx_model import to_onnx
from rlcompress.export.reading import OnnxNetwork
from rlcompress.export.tensors import save
from rlcompress.integer import lower
from rlcompress.network.graph import record_shapes
from rlcompress.network.layers import bias_of, weighted
from rlcompress.network.thinning import thinned
from rlcompress.network.trace import TracedNetwork, trace
from rlcompress.pruning import filter_classes, voted
from rlcompress.quantization import QuantizedWeight, fit_ranges, fit_scale, keep_codes, largest_code

_IMAGES = 4
_HEAD = ("network", "images", "layers", "dense", "groups", "params", "thinned", "reloaded", "onnxruntime", "seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="names with commas")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = arguments.only.split(",") if arguments.only else list(ARCHITECTURES)
    print("".join(f"{title:>13}" if i else f"{title:<20}" for i, title in enumerate(_HEAD)), flush=True)
    failed = 0
    for name in names:
        start = time.perf_counter()
        try:
            row = _row(name, arguments.seed)
        except Exception as error:  # the row says what is missing
            failed += 1
            print(f"{name:<20} failed: {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)
            continue
        cells = (*row, f"{time.perf_counter() - start:.1f}")
        print(f"{name:<20}" + "".join(f"{cell:>13}" for cell in cells), flush=True)
    print(f"{len(names) - failed} of {len(names)} went through", flush=True)


@torch.no_grad()
def _row(name: str, seed: int) -> tuple[str, ...]:
    factory, shape = ARCHITECTURES[name]
    torch.manual_seed(seed)
    model = _with_statistics(factory().eval())
    x = torch.randn(_IMAGES, *shape)
    network = trace(model, x[:1], name=name)
    stitched, example = _compressed(network, x, np.random.default_rng(seed)), torch.zeros(1, *shape)
    wanted = lower(stitched, engine="portable")(x)
    small = thinned(stitched, example)
    recording = recorded(stitched, example)
    onnx, inexact = to_onnx(recording, example, {})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network"
        save(recording, path, {})
        reloaded = load(path)(x)
        path.write_bytes(onnx.SerializeToString())
        in_onnxruntime = OnnxNetwork(path)(x)
    return (
        "x".join(map(str, shape)), str(len(network.layers)), str(len(network.skipped)),
        str(len(network.structure.groups)), f"{_parameters(small) / _parameters(stitched):.2f}",
        _same(lower(small, engine="portable")(x), wanted), _same(reloaded, wanted),
        _same(in_onnxruntime, wanted) + ("*" if inexact else ""),
    )  # fmt: skip


def _with_statistics(model: nn.Module) -> nn.Module:
    """The model with BatchNorms that do something."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor, low in ((module.weight, 0.5), (module.bias, -0.3), (module.running_var, 0.5)):
                tensor.copy_(low + torch.rand(tensor.shape))
    return model


def _compressed(network: TracedNetwork, x: Tensor, rng: np.random.Generator) -> fx.GraphModule:
    """The network under a random policy: filters, input channels or single weights removed, 2 to 8 bits."""
    graph = quantizable(network)
    record_shapes(graph, x)
    gone = _removed(network, rng)
    for name, spec in network.layers.items():
        layer = weighted(graph, name)
        stay_out, stay_in = (~np.isin(c[name], gone) for c in (network.classes, network.input_classes))
        mask = torch.from_numpy(stay_out).view(-1, *[1] * (layer.weight.dim() - 1)).expand_as(layer.weight).clone()
        if spec.groups == 1:
            if rng.random() < 0.3:
                stay_in = stay_in & (rng.random(len(stay_in)) < 0.7)
            mask[:, torch.from_numpy(~stay_in)] = False
        if rng.random() < 0.3:
            mask &= torch.from_numpy(rng.random(mask.shape) < 0.6)
        _round(layer, mask, int(rng.integers(2, 9)))
        bias_of(layer).mul_(torch.from_numpy(stay_out))
    values = StoredTensors(graph, set(network.reads.values()), lambda _, x: x)
    values.run(x)
    for stored, value in values.values.items():
        bits = int(rng.integers(3, 9))
        graph.get_submodule(quantizer_name(stored)).range = fit_ranges(value.flatten()[::7], [bits])[bits]
    return graph


def _removed(network: TracedNetwork, rng: np.random.Generator) -> list[int]:
    """Classes of channels that some groups lose."""
    gone: set[int] = set()
    for group in network.structure.groups:
        members = [spec.name for spec in network.layers.values() if spec.coupling == group]
        classes = {name: network.classes[name] for name in members}
        scores = voted({name: network.layer(name).weight.detach().abs() for name in members}, classes)
        kept = filter_classes(scores, classes, float(rng.choice([0.25, 0.5, 0.75, 1.0])))
        gone |= {int(c) for own in classes.values() for c in own} - kept
    return sorted(gone)


def _round(layer: nn.Conv2d | nn.Linear, mask: Tensor, bits: int) -> None:
    weight = layer.weight * mask
    scale, limit = fit_scale(weight, bits), largest_code(bits)
    per_row = scale.view(-1, *[1] * (weight.dim() - 1))
    codes = QuantizedWeight((weight / per_row).round_().clamp_(-limit, limit).to(torch.int8), scale)
    layer.weight.copy_(codes.dequantized())
    keep_codes(layer, codes)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _same(have: Tensor, wanted: Tensor) -> str:
    """Whether outputs are the same bits, else how far off they are relative to their spread."""
    if torch.equal(have, wanted):
        return "equal"
    return f"{float((have - wanted).abs().max() / wanted.std()):.1e}"


if __name__ == "__main__":
    main()
