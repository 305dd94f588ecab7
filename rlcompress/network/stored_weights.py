"""Weights that modules compute from others (weight norm, spectral norm, pruning masks) become parameters."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

_HOOKS = (BasePruningMethod, SpectralNorm, WeightNorm)


@torch.no_grad()
def with_stored_weights(model: nn.Module) -> nn.Module:
    """A copy of a module in eval mode that holds as plain parameters what torch.nn.utils has made it compute."""
    held = (value for module in model.modules() for value in vars(module).values())
    computed = {id(value): value.detach().clone() for value in held if isinstance(value, Tensor) and not value.is_leaf}
    copied = copy.deepcopy(model, computed).eval()  # deepcopy refuses computed tensors
    for module in copied.modules():
        if parametrize.is_parametrized(module):
            _store(module)
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, _HOOKS):
                hook.remove(module)
                del module._forward_pre_hooks[key]
    return copied


def _store(module: nn.Module) -> None:
    """What `parametrize.remove_parametrizations` does, which would also reach the module that this is a copy of."""
    values = {name: getattr(module, name) for name in vars(module)["_modules"]["parametrizations"]}
    module.__class__ = type(module).__bases__[0]
    del module.parametrizations
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value.detach(), requires_grad=False))
