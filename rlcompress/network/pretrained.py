"""`pretrained`: a network by its name on the command line, with weights, traced."""

from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram

from rlcompress.errors import NetworkError
from rlcompress.network.cards import InputFormat, NetworkCard, get_card
from rlcompress.network.exported import of_program
from rlcompress.network.graph import check_module, unfit
from rlcompress.network.trace import TracedNetwork, trace
from rlcompress.network.weight_files import read_state_dict
from rlcompress.network.weights import build, load_weights
from rlcompress.plugins import reason_of, resolve

_AS_SAID = InputFormat()


def pretrained(
    name: str, weights: str | Path | None, given: InputFormat = _AS_SAID
) -> tuple[TracedNetwork, NetworkCard]:
    """A network with trained weights, traced at its input shape, and its card.

    Args:
        name: a built-in network, or ``package.module:factory`` or ``path/to/file.py:factory`` of a function without
            arguments that gives an `nn.Module`.
        weights: file that `read_state_dict` accepts; a user's factory may load its own.
        given: the input's shape and normalisation, which a user's network has no card to tell from.

    Raises:
        NetworkError: an unknown network, no weights, weights that do not fit, a factory that fails, or an input of
            which too little is known.
    """
    if weights is None and ":" not in name:
        raise NetworkError(f"{get_card(name).name} is not trained; give its weights with --weights FILE")
    traced, card = untrained(name, given, weights)
    if not (card.mean and card.std):
        raise NetworkError(
            f"network {name!r} does not say how its input is normalised; give --mean and --std of each channel, "
            "for example --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 (--mean 0 --std 1 for bytes over 255)"
        )
    return traced, given.applied(card)


def untrained(
    name: str, given: InputFormat = _AS_SAID, weights: str | Path | None = None
) -> tuple[TracedNetwork, NetworkCard]:
    """The same, where weights and normalisation may be missing, since nothing will be classified."""
    module, card = _from_factory(name, given, weights) if ":" in name else build(name, weights)
    shape = given.shape or card.input_shape
    try:
        example = torch.zeros(1, *shape)
    except RuntimeError:
        raise NetworkError(
            f"an input of shape {shape} does not fit into memory; give a smaller --input-shape"
        ) from None
    return trace(module, example, name=card.name), card


def _from_factory(name: str, given: InputFormat, weights: str | Path | None) -> tuple[nn.Module, NetworkCard]:
    if given.shape is None:
        raise NetworkError(f"network {name!r} does not say what it takes; give --input-shape C,H,W, such as 3,32,32")
    module = made(name)
    if weights is not None:
        load_weights(module, read_state_dict(weights), str(weights))
    return module.eval(), card_of(module, name, given)


def made(name: str) -> nn.Module:
    """The module that a factory of the user's gives.

    Raises:
        NetworkError: there is no such file, module or factory, it fails, or gives something else.
    """
    factory = resolve(name, "network", NetworkError)
    if isinstance(factory, nn.Module | ExportedProgram):
        return of_program(factory)
    try:
        module = factory()
    except (Exception, SystemExit) as error:  # a user's function may raise anything
        raise NetworkError(
            f"network {name!r}: the factory failed ({reason_of(error)}); it is called without arguments"
        ) from None
    if not isinstance(module, nn.Module | ExportedProgram):
        raise NetworkError(f"network {name!r}: the factory gives {type(module).__name__}; let it return an nn.Module")
    return of_program(module)


def card_of(module: nn.Module, name: str, given: InputFormat) -> NetworkCard:
    """The card of a user's network; the number of classes is that of its outputs [N, classes], 1 of outputs [N].

    Raises:
        NetworkError: it is none that can be traced, or fails on an image of the given shape.
    """
    assert given.shape is not None
    check_module(module)
    try:
        with torch.no_grad():
            output = module.eval()(torch.zeros(2, *given.shape))  # squeeze() drops a batch of one
    except Exception as error:  # whatever the user's operators raise
        raise unfit(f"network {name!r}", given.shape, reason_of(error)) from None
    flat = isinstance(output, torch.Tensor) and output.dim() in (1, 2)
    classes = output[0].numel() if flat else None
    return NetworkCard(
        name=name.rpartition(":")[2] or name,
        factory=name,
        input_shape=given.shape,
        mean=given.mean or (),
        std=given.std or (),
        classes=classes,
        description="a user's own",
        source="",
        metric="top1" if classes else "psnr",
    )
