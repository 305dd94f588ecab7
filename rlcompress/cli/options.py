"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from rlcompress.errors import RunError

Network = Annotated[
    str, typer.Option(help="See `rlcompress networks list`, or your own package.module:factory or file.py:factory.")
]
InputShape = Annotated[str | None, typer.Option(help="C,H,W of your own network's input.")]
Mean = Annotated[str | None, typer.Option(help="Of each input channel, on the scale 0 to 1, with commas.")]
Std = Annotated[str | None, typer.Option(help="Of each input channel, on the scale 0 to 1, with commas.")]
Weights = Annotated[Path | None, typer.Option(help="State dict: safetensors, or a torch file of tensors only.")]
Data = Annotated[
    str,
    typer.Option(
        help="digits, cifar10:DIR, cifar100:DIR, imagefolder:DIR?size=224, set5:DIR?train=DIR or module:function; "
        "?search=moved rotates every second search image."
    ),
]
Engine = Annotated[
    str, typer.Option(help="auto, portable, int8 or cuda: what runs compressed networks, not what they give.")
]
Hardware = Annotated[
    str, typer.Option(help="Name, see `rlcompress hardware list`, a YAML description or a CSV table of measured costs.")
]
Policy = Annotated[Path | None, typer.Option(help="policy.json of a search.")]
MaxDrop = Annotated[
    float, typer.Option(help="What may be lost of the metric, in its unit: points of top-1, dB of PSNR.")
]
Metric = Annotated[str | None, typer.Option(help="top1, top5, psnr, epe, agreement, kl or module:function.")]
Workers = Annotated[
    int, typer.Option(help="Processes for finalists, and for policies in batches (nsga2, random, uniform).")
]
Seed = Annotated[int, typer.Option(help="Same seed, same run.")]
PolicyRepair = Annotated[
    str | None, typer.Option("--repair", help="t0, t1, t2 or t2:STEPS; by default what the policy was searched with.")
]
Repair = Annotated[
    str,
    typer.Option(
        help="t0 (no data), t1 (closed form) or t2 (and learned rounding at the end; t2:1800 for 1,800 steps)."
    ),
]
Memory = Annotated[
    str | None, typer.Option(help="What all processes may take together, such as 4G; refused where it cannot be kept.")
]
Cache = Annotated[
    Path | None, typer.Option(help="Folder in which runs on one network and data share what they compute of layers.")
]
Cold = Annotated[bool, typer.Option("--cold", help="Start composite, nsga2 and tpe without the planner.")]
AgentFrom = Annotated[Path | None, typer.Option(help="agent.safetensors of another search that composite starts from.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but warnings and errors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
Goals = Annotated[str, typer.Option(help="Further allowed drops that one search serves, with commas.")]
Target = Annotated[str, typer.Option(help="energy, latency, edp or bops.")]
Granularities = Annotated[str, typer.Option(help="Pruning that may be chosen, with commas.")]
MinBits = Annotated[int, typer.Option(help="Least weight and activation bits.")]
RoundTo = Annotated[
    int | None,
    typer.Option(help="Filters and channels that stay are a multiple of it; by default what the accelerator asks for."),
]
Clustering = Annotated[
    bool, typer.Option("--clustering", help="Cluster weights of few bits, where the accelerator stores indices.")
]
MaxBits = Annotated[int, typer.Option(help="Most weight and activation bits.")]
EndBits = Annotated[int, typer.Option(help="Least bits of the first and the last layer.")]


def names_of(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def floats_of(text: str) -> tuple[float, ...]:
    """Numbers between commas.

    Raises:
        RunError: something else stands there.
    """
    try:
        return tuple(float(name) for name in names_of(text))
    except ValueError:
        raise RunError(f"expected numbers with commas between, got {text!r}") from None
