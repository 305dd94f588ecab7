"""``rlcompress energy``."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from rlcompress.cli.options import Network, Policy
from rlcompress.errors import RlcompressWarning, RunError
from rlcompress.hw_models import DEFAULT_HARDWARE, available, fixed_widths, load, unmeasured
from rlcompress.spec import CompressionPolicy, LayerChoice, rounded_to

_WIDTHS = ("operand_bits", "activation_bits")


def energy(
    network: Network,
    hardware: Annotated[str | None, typer.Option(help="As for search; the policy's own by default.")] = None,
    input_shape: Annotated[str | None, typer.Option(help="C,H,W in place of the network's own.")] = None,
    policy: Policy = None,
    bits: Annotated[int, typer.Option(help="Bits of every layer where no policy is given.")] = 8,
    devices: Annotated[int, typer.Option(help="Accelerators that share every layer's outputs.")] = 1,
    format: Annotated[  # noqa: A002  # the option's name
        str | None, typer.Option(help="table, json, csv, timeloop or html; html where --out ends so, else table.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write to, in place of the terminal.")] = None,
) -> None:
    """Model energy and latency of a network, dense or under a policy; needs no weights.

    rlcompress energy --network cifar_resnet20 --hardware scalable_sparse_16x32

    rlcompress energy --network cifar_resnet20 --policy RUN/policy.json --out energy.html
    """
    from rlcompress.cli.cost_formats import FORMATS
    from rlcompress.cli.specs import network_specs
    from rlcompress.report import energy_report, write_text

    format = format or ("html" if out is not None and out.suffix == ".html" else "table")  # noqa: A001
    if format not in (*FORMATS, "html"):
        raise RunError(f"unknown format {format!r}; choose from {', '.join(FORMATS)} or html")
    chosen = None if policy is None else CompressionPolicy.load(policy)
    name = chosen.hardware if chosen and not hardware else None
    model = load(hardware or _own(policy, chosen) or DEFAULT_HARDWARE, name).parallel(devices)
    specs = network_specs(network, input_shape)
    if chosen is not None:
        chosen.check_fits(specs)
        specs = rounded_to(specs, chosen.round_to)
        choices = chosen.choices
    else:
        choice = LayerChoice(weight_bits=bits, activation_bits=bits)
        choices = {spec.name: choice for spec in specs if spec.compressible}
    weight_bits, activation_bits = (min(getattr(choice, name) for choice in choices.values()) for name in _WIDTHS)
    prunings = ((choice.granularity, choice.keep_ratio) for choice in choices.values())
    narrow = fixed_widths(model, weight_bits=weight_bits, activation_bits=activation_bits)
    for line in (*narrow, *unmeasured(model, prunings)):
        warnings.warn(line, RlcompressWarning, stacklevel=2)
    if format == "html":
        compressed = chosen is not None or bits != 8
        text = energy_report(network, specs, model, choices if compressed else None)
    else:
        text = FORMATS[format](model, specs, choices)
    if out is None:
        typer.echo(text, nl=False)
        return
    write_text(text, out)
    typer.echo(f"{format}: {out}")


def _own(file: Path | None, policy: CompressionPolicy | None) -> str | Path | None:
    """The accelerator that a policy was made for; one of the user's own lies beside it in the run folder."""
    if file is None or policy is None:
        return None
    if policy.hardware in available():
        return policy.hardware
    beside = [path for suffix in ("yaml", "csv") if (path := file.parent / f"hardware.{suffix}").exists()]
    if not beside:
        raise RunError(f"{file} was made for {policy.hardware!r}, an accelerator of your own; give it with --hardware")
    return beside[0]
