"""``rlcompress compare``."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from rlcompress.cli.console import stdout
from rlcompress.cli.invocation import resumable
from rlcompress.cli.loading import input_format
from rlcompress.cli.options import (
    AgentFrom,
    AsJson,
    Cache,
    Clustering,
    Cold,
    Data,
    EndBits,
    Goals,
    Granularities,
    Hardware,
    InputShape,
    MaxBits,
    MaxDrop,
    Mean,
    Memory,
    Metric,
    MinBits,
    Network,
    Quiet,
    Resume,
    RoundTo,
    Std,
    Target,
    Weights,
    Workers,
    floats_of,
    names_of,
)
from rlcompress.errors import RunError
from rlcompress.hw_models import DEFAULT_HARDWARE, available, million_of


def compare(
    network: Network,
    data: Data,
    agents: Annotated[str, typer.Option(help="Methods to compare, with commas.")] = "composite,dp,tsdp,uniform",
    cold: Cold = False,
    agent_from: AgentFrom = None,
    seeds: Annotated[str, typer.Option(help="Seeds of each method, with commas.")] = "0,1,2",
    weights: Weights = None,
    hardware: Hardware = DEFAULT_HARDWARE,
    max_drop: MaxDrop = 1.0,
    metric: Metric = None,
    goals: Goals = "",
    target: Target = "energy",
    evaluations: Annotated[int, typer.Option(help="Policies that each search evaluates.")] = 200,
    granularities: Granularities = "none,element,filter",
    min_bits: MinBits = 2,
    max_bits: MaxBits = 8,
    end_bits: EndBits = 4,
    clustering: Clustering = False,
    round_to: RoundTo = None,
    workers: Workers = 1,
    score_images: Annotated[int, typer.Option(help="Search images that candidates are scored on.")] = 1000,
    memory: Memory = None,
    cache: Cache = None,
    out: Annotated[Path, typer.Option(help="New folder for the comparison.")] = Path("runs/compare"),
    input_shape: InputShape = None,
    mean: Mean = None,
    std: Std = None,
    resume: Resume = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Compare search methods at equal evaluations over seeds, on one network and accelerator.

    rlcompress compare --network cifar_resnet20 --weights FILE --data cifar10:DIR --agents composite,dp --seeds 0,1,2
    """
    from rlcompress.cli.comparison_table import comparison_table
    from rlcompress.cli.progress import SearchBar
    from rlcompress.data import check_data_fits, load_data
    from rlcompress.evaluation import metric_of
    from rlcompress.files import file_hash
    from rlcompress.hw_models import load as load_hardware
    from rlcompress.network.pretrained import pretrained
    from rlcompress.report.build import write_text
    from rlcompress.report.records import MetricName
    from rlcompress.searches import SearchSettings
    from rlcompress.searches.comparison import Trial, check_comparison
    from rlcompress.searches.comparison import compare as run
    from rlcompress.searches.comparison_report import plot_html, summary_rows, to_csv
    from rlcompress.searches.folder import open_folder

    settings = SearchSettings.of(
        {
            "max_drop": max_drop, "goals": floats_of(goals), "evaluations": evaluations, "target": target,
            "granularities": names_of(granularities), "min_bits": min_bits, "max_bits": max_bits,
            "end_bits": end_bits, "clustering": clustering, "round_to": round_to,
            "cache": str(cache) if cache else None,
            "score_images": score_images, "memory": memory, "workers": workers,
            "agent_from": str(agent_from) if agent_from else None,
        }
    )  # fmt: skip
    names, numbers = _methods(agents, cold=cold), _seeds(seeds)
    model = load_hardware(hardware)
    splits = load_data(data)
    traced, card = pretrained(network, weights, input_format(network, input_shape, mean, std, splits))
    check_data_fits(card, splits)
    card = replace(card, metric=metric or card.metric)
    check_comparison(card, settings, names, numbers)
    asked: dict[str, Any] = settings.as_json() | {
        "network": network,
        "data": data,
        "data_sha256": splits.fingerprint,
        "hardware": hardware,
        "metric": card.metric,
        "input_shape": list(card.input_shape),
        "mean": list(card.mean),
        "std": list(card.std),
    }
    asked |= {"weights_sha256": file_hash(weights)} if weights else {}
    asked |= {"hardware_sha256": file_hash(hardware)} if hardware not in available() else {}
    del asked["agent"], asked["seed"]  # more of both may be added to a comparison
    folder = open_folder(out, "comparison.json", asked, resume=resume)

    def on_trial(trial: Trial) -> None:
        if not quiet:
            said = f"{trial.agent}, seed {trial.seed}: {trial.evaluations} evaluations, {trial.seconds:.1f} s"
            typer.echo(said, err=True)

    with resumable(folder / "comparison.json"), SearchBar(quiet=quiet) as bar:
        trials = run(traced, card, splits, model, settings, names, numbers, folder, on_trial, bar)
    rows = summary_rows(trials)
    write_text(to_csv(rows), folder / "table.csv")
    write_text(plot_html(trials, f"{network} on {model.name}"), folder / "plot.html")
    if as_json:
        typer.echo(json.dumps({"rows": rows, "run": str(folder)}))
    elif not quiet:
        unit = MetricName(unit=metric_of(card.metric).unit)
        energy_unit = million_of(model.description.energy_unit)
        for goal in dict.fromkeys(row["max_drop"] for row in rows):
            own = [row for row in rows if row["max_drop"] == goal]
            stdout().print(comparison_table(own, f"at most {unit.amount(goal)} lost", energy_unit))
        typer.echo(f"table: {folder / 'table.csv'}\nplot: {folder / 'plot.html'}")


def _methods(agents: str, *, cold: bool) -> list[str]:
    """Names of methods; cold, those without the planner where there are such."""
    from rlcompress.searches import METHODS

    names = (f"{name}-cold" if cold and f"{name}-cold" in METHODS else name for name in names_of(agents))
    return list(dict.fromkeys(names))


def _seeds(text: str) -> list[int]:
    try:
        return list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise RunError(f"--seeds must be whole numbers with commas between, got {text!r}") from None
