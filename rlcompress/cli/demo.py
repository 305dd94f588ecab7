"""``rlcompress demo``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from rlcompress.cli.invocation import resumable, typed_command
from rlcompress.cli.options import AsJson, Quiet, Resume, Seed

_NETWORK = "digits_cnn"
_WEIGHTS = f"{_NETWORK}.safetensors"
_TRAINING_IMAGES = 400  # of the search images, beside those of calibration: a search sees images new to the network
_SCORE_IMAGES = 250


def demo(
    out: Annotated[Path, typer.Option(help="New folder for the run.")] = Path("runs/demo"),
    seed: Seed = 0,
    evaluations: Annotated[int, typer.Option(help="Policies to evaluate.")] = 60,
    resume: Resume = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train a small CNN on handwritten digits, search a policy for it, and print what it saves.

    rlcompress demo --out runs/demo

    rlcompress demo --out runs/demo --resume
    """
    import torch

    from rlcompress.cli.progress import SearchBar
    from rlcompress.cli.summary_table import show_result
    from rlcompress.data import load_data
    from rlcompress.envs import ProblemSettings
    from rlcompress.hw_models import DEFAULT_HARDWARE
    from rlcompress.hw_models import load as load_hardware
    from rlcompress.network.builtin.digits_training import train_digits_cnn
    from rlcompress.network.cards import get_card
    from rlcompress.network.trace import trace
    from rlcompress.searches import SearchSettings, run_search
    from rlcompress.searches.folder import RunFolder
    from rlcompress.tensor_files import write_safetensors

    problem = ProblemSettings(score_images=_SCORE_IMAGES)
    settings = SearchSettings(evaluations=evaluations, seed=seed, problem=problem)
    asked = {**settings.as_json(), "network": _NETWORK, "data": "digits", "hardware": DEFAULT_HARDWARE}
    folder = RunFolder(out, asked, resume=resume, command=typed_command())
    card, splits = get_card(_NETWORK), load_data("digits")
    order = torch.arange(len(splits.search))
    parts = (splits.calibration, splits.search.part(order[:_TRAINING_IMAGES]))
    splits = replace(splits, search=splits.search.part(order[_TRAINING_IMAGES:]))
    images = torch.cat([part.normalized(slice(None), card.mean, card.std) for part in parts])
    if not quiet:
        typer.echo(f"training {_NETWORK} on {len(images)} handwritten digits", err=True)
    model = train_digits_cnn(images, torch.cat([part.labels for part in parts]), seed)
    network = trace(model, images[:1], name=_NETWORK)
    with resumable(out / "run.json"), SearchBar(quiet=quiet) as bar:
        result = run_search(network, card, splits, load_hardware(DEFAULT_HARDWARE), settings, folder, bar)
    write_safetensors(out / _WEIGHTS, model.state_dict(), {})
    show_result(result, out, quiet=quiet, as_json=as_json)
