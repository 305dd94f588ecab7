"""``rlcompress energy``."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from rlcompress.cli.options import Network, Policy
from rlcompress.errors import RlcompressError, RlcompressWarning, RunError
from rlcompress.files import read_text
from rlcompress.hw_models import DEFAULT_HARDWARE, HardwareModel, available, fixed_widths, load, unmeasured
from rlcompress.spec import CompressionPolicy, LayerChoice, LayerSpec, fingerprint, rounded_to, specs_from_json

_MAX_FILE_BYTES = 50_000_000
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
    specs = (policy and chosen and not input_shape and _profiled(policy, chosen)) or network_specs(network, input_shape)
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
    for line in (*narrow, *unmeasured(model, prunings), *_unprofiled(model, specs, choices)):
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


def _profiled(file: Path, policy: CompressionPolicy) -> Sequence[LayerSpec] | None:
    """The operators that the search which found a policy counted with, the densities of their inputs among them."""
    kept = next((path for folder in file.absolute().parents[:2] if (path := folder / "network.json").is_file()), None)
    if kept is None:
        return None
    try:
        specs = specs_from_json(read_text(kept, _MAX_FILE_BYTES), str(kept))
    except (OSError, ValueError, RlcompressError):
        return None  # of another kind: what the network's own card says will do
    return specs if fingerprint(specs) == policy.network.fingerprint else None


def _unprofiled(model: HardwareModel, specs: Sequence[LayerSpec], choices: Mapping[str, LayerChoice]) -> Iterator[str]:
    """Tells where zeros among the inputs would save something, and none are counted since no image was looked at."""
    if any(spec.input_density < 1.0 for spec in specs):
        return
    half = [replace(spec, input_density=0.5) for spec in specs]
    if model.cost(half, choices).energy_pj != model.cost(specs, choices).energy_pj:
        yield (
            f"{model.name} saves energy by zeros among a layer's inputs, and none are counted here; a search counts "
            "those of the calibration images, and so does energy with the --policy of its run folder"
        )


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
