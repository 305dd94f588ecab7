"""``rlcompress evaluate``."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from rlcompress.cli.console import stdout
from rlcompress.cli.loading import final_network, input_format
from rlcompress.cli.options import Cache, Data, Engine, InputShape, Mean, Metric, Policy, PolicyRepair, Std, Weights
from rlcompress.errors import RunError

if TYPE_CHECKING:
    from torch import nn

    from rlcompress import evaluation
    from rlcompress.data import DataSplits
    from rlcompress.network.cards import InputFormat, NetworkCard

_COMPARED = tuple(
    f"{name}{end}" for name in ("drop", "expected_drop", "agreement", "kl", "logit_mse") for end in ("", "_error")
)
"""Figures that need a network to compare with."""


def evaluate(
    data: Data,
    network: Annotated[
        str | None, typer.Option(help="As for search; beside --model, what the exported file is compared with.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Exported file: .onnx in onnxruntime, or .safetensors.")] = None,
    weights: Weights = None,
    policy: Policy = None,
    metric: Metric = None,
    split: Annotated[str, typer.Option(help="test or search.")] = "test",
    repair: PolicyRepair = None,
    cache: Cache = None,
    engine: Engine = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    input_shape: InputShape = None,
    mean: Mean = None,
    std: Std = None,
) -> None:
    """Measure a network, a policy applied to it, or an exported file, on one split of the data.

    rlcompress evaluate --network cifar_resnet20 --weights FILE --data cifar10:DIR --policy RUN/policy.json
    """
    from rlcompress.data import load_data
    from rlcompress.evaluation import Evaluator
    from rlcompress.integer import engine_named
    from rlcompress.threads import one_thread

    if split not in ("test", "search"):
        raise RunError(f"unknown split {split!r}; choose test or search")
    if network is None and model is None:
        raise RunError("nothing to evaluate; give --network, or an exported file with --model")
    if policy is not None and model is not None:
        raise RunError("an exported file has its own policy; leave out --policy or --model")
    engine_named(engine)
    splits = load_data(data)
    with one_thread():
        given = input_format(network or "", input_shape, mean, std, splits)
        dense, measured, card = _networks(network, weights, given, policy, repair, model, splits, engine, cache)
        images = splits.test if split == "test" else splits.search
        evaluator = Evaluator(dense, images, replace(card, metric=metric or card.metric))
        score = evaluator.dense if measured is dense else evaluator.score(measured)
    figures = asdict(score)
    if network is None:  # the file was held against itself
        figures |= dict.fromkeys(_COMPARED)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "network": network or card.name,
                    "split": split,
                    "policy": str(policy or ""),
                    "metric_name": evaluator.metric.name,
                    **figures,
                }
            )
        )
        return
    stdout().print(_table(figures, evaluator.metric, f"{model or network}, {split} images"))


def _networks(
    network: str | None, weights: Path | None, given: "InputFormat", policy: Path | None, repair: str | None,
    model: Path | None, splits: "DataSplits", engine: str, cache: Path | None,
) -> "tuple[nn.Module, nn.Module, NetworkCard]":  # fmt: skip
    """The network to compare with, the one to measure, and the card of both."""
    from rlcompress.data import check_data_fits
    from rlcompress.export.reading import read_exported
    from rlcompress.integer import lower
    from rlcompress.network.pretrained import pretrained
    from rlcompress.spec import CompressionPolicy

    if network is None:
        assert model is not None
        exported, card = read_exported(model, engine)
        check_data_fits(card, splits)
        return exported, exported, card
    chosen = CompressionPolicy.load(policy) if policy else None
    traced, card = pretrained(network, weights, given)
    check_data_fits(card, splits)
    if chosen is not None:
        chosen.check_fits(traced.specs)
        return traced.graph, lower(final_network(traced, card, chosen, splits, repair, cache), engine=engine), card
    return traced.graph, traced.graph if model is None else read_exported(model, engine)[0], card


def _table(figures: dict[str, Any], metric: "evaluation.Metric", title: str) -> Table:
    """One row: the figures that are known, with their standard errors."""
    titles = {
        "metric": f"{metric.label} ({metric.unit})",
        "drop": f"{metric.unit} lost",
        "expected_drop": "expected to be lost",
        "agreement": "agreement %",
        "kl": "KL",
        "logit_mse": "output MSE",
    }
    known = [name for name in titles if figures[name] is not None]
    table = Table(*(titles[name] for name in known), "images", title=escape(title), caption="with standard errors")
    cells = (f"{figures[name]:.4g} ± {figures[f'{name}_error']:.2g}" for name in known)
    table.add_row(*cells, str(figures["images"]))
    return table
