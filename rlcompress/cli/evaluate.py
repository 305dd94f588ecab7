"""``rlcompress evaluate``."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from rlcompress.cli.console import stdout
from rlcompress.cli.options import Data, Network, Policy, Weights
from rlcompress.errors import RunError


def evaluate(
    network: Network,
    data: Data,
    weights: Weights = None,
    policy: Policy = None,
    split: Annotated[str, typer.Option(help="test or search.")] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a network, or a policy applied to it, on one split of the data.

    rlcompress evaluate --network cifar_resnet20 --weights FILE --data cifar10:DIR --policy RUN/policy.json
    """
    from rlcompress.candidates import Candidates
    from rlcompress.cli.loading import check_data_fits
    from rlcompress.data import load_data
    from rlcompress.evaluation import Evaluator
    from rlcompress.network.pretrained import pretrained
    from rlcompress.spec import CompressionPolicy
    from rlcompress.threads import one_thread

    if split not in ("test", "search"):
        raise RunError(f"unknown split {split!r}; choose test or search")
    chosen = CompressionPolicy.load(policy) if policy else None
    traced, card = pretrained(network, weights)
    if chosen is not None:
        chosen.check_fits(traced.specs)
    splits = load_data(data)
    check_data_fits(card, splits.classes, tuple(splits.search.images.shape[1:]))
    images = splits.test if split == "test" else splits.search
    everything = slice(None)
    with one_thread():
        evaluator = Evaluator(traced.graph, images.normalized(everything, card.mean, card.std), images.labels)
        score = evaluator.dense
        if chosen is not None:
            bank = Candidates(traced, splits.calibration.normalized(everything, card.mean, card.std))
            score = evaluator.score(bank.stitch(chosen.choices))
    if as_json:
        typer.echo(json.dumps({"network": network, "split": split, "policy": str(policy or ""), **asdict(score)}))
        return
    table = Table(
        "top-1 %", "points lost", "standard error", "agreement %", "images", title=f"{network}, {split} images"
    )
    figures = (score.metric, score.drop, score.drop_error, score.agreement)
    table.add_row(*(f"{value:.2f}" for value in figures), str(score.images))
    stdout().print(table)
