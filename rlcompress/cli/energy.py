"""``rlcompress energy``."""

from pathlib import Path
from typing import Annotated

import typer

from rlcompress.cli.options import DEFAULT_HARDWARE, Network, Policy
from rlcompress.errors import RunError
from rlcompress.spec import CompressionPolicy, LayerChoice


def energy(
    network: Network,
    hardware: Annotated[str | None, typer.Option(help="As for search; the policy's own by default.")] = None,
    input_shape: Annotated[str | None, typer.Option(help="C,H,W in place of the network's own.")] = None,
    policy: Policy = None,
    bits: Annotated[int, typer.Option(help="Bits of every layer where no policy is given.")] = 8,
    devices: Annotated[int, typer.Option(help="Accelerators that share every layer's outputs.")] = 1,
    format: Annotated[str, typer.Option(help="table, json, csv or timeloop.")] = "table",  # noqa: A002  # the option's name
    out: Annotated[Path | None, typer.Option(help="File to write to, in place of the terminal.")] = None,
) -> None:
    """Model energy and latency of a network, dense or under a policy; needs no weights.

    rlcompress energy --network cifar_resnet20 --hardware scalable_sparse_16x32
    """
    from rlcompress.cli.cost_formats import FORMATS
    from rlcompress.cli.specs import network_specs
    from rlcompress.hw_models import load

    if format not in FORMATS:
        raise RunError(f"unknown format {format!r}; choose from {', '.join(FORMATS)}")
    chosen = None if policy is None else CompressionPolicy.load(policy)
    model = load(hardware or (chosen.hardware if chosen else DEFAULT_HARDWARE)).parallel(devices)
    specs = network_specs(network, input_shape)
    if chosen is not None:
        chosen.check_fits(specs)
        choices = chosen.choices
    else:
        choice = LayerChoice(weight_bits=bits, activation_bits=bits)
        choices = {spec.name: choice for spec in specs if spec.compressible}
    text = FORMATS[format](model, specs, choices)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text)
    except OSError as error:
        raise RunError(f"cannot write {out} ({error.strerror}); give another file with --out") from None
