"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_HARDWARE = "scalable_sparse_16x32"

Network = Annotated[str, typer.Option(help="Built-in network; see `rlcompress networks list`.")]
Weights = Annotated[Path | None, typer.Option(help="State dict: safetensors, or a torch file of tensors only.")]
Data = Annotated[str, typer.Option(help="digits, cifar10:DIR or cifar100:DIR.")]
Hardware = Annotated[str, typer.Option(help="Accelerator's name, see `rlcompress hardware list`, or a YAML file.")]
Policy = Annotated[Path | None, typer.Option(help="policy.json of a search.")]
MaxDrop = Annotated[float, typer.Option(help="Points of top-1 that may be lost.")]
Seed = Annotated[int, typer.Option(help="Same seed, same run.")]
