"""``rlcompress search``."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from rlcompress.cli.console import stdout
from rlcompress.cli.options import DEFAULT_HARDWARE, Data, Hardware, MaxDrop, Network, Seed, Weights


def search(
    network: Network,
    data: Data,
    weights: Weights = None,
    hardware: Hardware = DEFAULT_HARDWARE,
    max_drop: MaxDrop = 1.0,
    target: Annotated[str, typer.Option(help="energy, latency, edp or bops.")] = "energy",
    evaluations: Annotated[int | None, typer.Option(help="Policies to evaluate; 200 if no time is given.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Minutes to search for, in place of --evaluations.")] = None,
    agent: Annotated[str, typer.Option(help="composite, td3, ddpg, sac, ppo, uniform or random.")] = "composite",
    granularities: Annotated[
        str, typer.Option(help="Pruning that may be chosen, with commas.")
    ] = "none,element,filter",
    min_bits: Annotated[int, typer.Option(help="Least weight and activation bits.")] = 2,
    max_bits: Annotated[int, typer.Option(help="Most weight and activation bits.")] = 8,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="New folder for the run.")] = Path("runs/search"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Search pruning and bit-widths of every layer.

    rlcompress search --network cifar_resnet20 --weights FILE --data cifar10:DIR --max-drop 1.0 --out RUN
    """
    from rlcompress.cli.loading import check_data_fits
    from rlcompress.cli.progress import SearchBar
    from rlcompress.cli.summary_table import summary
    from rlcompress.data import load_data
    from rlcompress.envs.problem import ProblemSettings
    from rlcompress.hw_models import load as load_hardware
    from rlcompress.network.pretrained import pretrained
    from rlcompress.searches import SearchSettings, run_search
    from rlcompress.searches.folder import RunFolder, file_hash

    if evaluations is None and minutes is None:
        evaluations = 200
    names = tuple(name.strip() for name in granularities.split(","))
    problem = ProblemSettings(target=target, granularities=names, min_bits=min_bits, max_bits=max_bits)
    settings = SearchSettings(
        max_drop=max_drop, evaluations=evaluations, minutes=minutes, agent=agent, seed=seed, problem=problem
    )
    model = load_hardware(hardware)
    traced, card = pretrained(network, weights)
    splits = load_data(data)
    check_data_fits(card, splits.classes, tuple(splits.search.images.shape[1:]))
    inputs = {"network": network, "data": data, "hardware": hardware}
    hashes = {"weights": str(weights), "weights_sha256": file_hash(weights)} if weights else {}
    folder = RunFolder(out, {**settings.as_json(), **inputs, **hashes}, resume=resume)
    try:
        with SearchBar() as bar:
            result = run_search(traced, card, splits, model, settings, folder, bar)
    except KeyboardInterrupt:
        typer.echo(f"interrupted; everything evaluated is kept. Go on with:\n  {_resuming_command()}", err=True)
        raise
    stdout().print(summary(result))
    typer.echo(f"policy: {out / 'policy.json'}")


def _resuming_command() -> str:
    arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
    return shlex.join(["rlcompress", *arguments, "--resume"])
