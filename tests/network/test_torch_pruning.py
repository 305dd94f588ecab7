"""Coupled channels against torch-pruning's dependency graph, where that is installed."""

import pytest
import torch
from torch import nn

from rlcompress.network.trace import trace
from tests.network.test_thinning import NETWORKS, SHAPE

torch_pruning = pytest.importorskip("torch_pruning", reason="torch-pruning is not installed")

FINER = ("resnet", "shuffle", "parts")  # theirs couples whole tensors where only some channels meet


def theirs(model, layer):
    """Layers whose first output channels torch-pruning removes with the layer's."""
    graph = torch_pruning.DependencyGraph().build_dependency(model, torch.zeros(1, *SHAPE))
    names = {module: name for name, module in model.named_modules()}
    linear = isinstance(model.get_submodule(layer), nn.Linear)
    prune = torch_pruning.prune_linear_out_channels if linear else torch_pruning.prune_conv_out_channels
    group = graph.get_pruning_group(model.get_submodule(layer), prune, idxs=[0])
    return {
        names[dependency.target.module]
        for dependency, _ in group
        if dependency.handler.__name__ == "prune_out_channels"
        and isinstance(dependency.target.module, nn.Conv2d | nn.Linear)
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_layers_lose_a_channel_together(name):
    model = NETWORKS[name]()
    network = trace(model, torch.zeros(1, *SHAPE))
    for layer, spec in network.layers.items():
        if spec.coupling is None or spec.kind == "depthwise":
            continue
        ours = {other for other in network.layers if network.classes[layer][0] in network.classes[other]}
        known = {other for other in theirs(model, layer) if network.layers[other].kind != "depthwise"}
        ours = {other for other in ours if network.layers[other].kind != "depthwise"}
        assert ours <= known if name in FINER else ours == known
