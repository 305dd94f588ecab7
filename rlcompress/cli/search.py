"""``rlcompress search``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from rlcompress.cli.invocation import resumable, typed_command
from rlcompress.cli.loading import input_format
from rlcompress.cli.options import (
    AgentFrom,
    AsJson,
    Cache,
    Clustering,
    Cold,
    Data,
    EndBits,
    Engine,
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
    Repair,
    Resume,
    RoundTo,
    Seed,
    Std,
    Target,
    Weights,
    Workers,
    floats_of,
    names_of,
)
from rlcompress.errors import RunError
from rlcompress.hw_models import DEFAULT_HARDWARE


def search(
    network: Network,
    data: Data,
    weights: Weights = None,
    hardware: Hardware = DEFAULT_HARDWARE,
    max_drop: MaxDrop = 1.0,
    metric: Metric = None,
    goals: Goals = "",
    target: Target = "energy",
    evaluations: Annotated[int | None, typer.Option(help="Policies to evaluate; 200 if no time is given.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Minutes to search for, in place of --evaluations.")] = None,
    agent: Annotated[
        str, typer.Option(help="composite, dp, tsdp, nsga2, tpe, td3, ddpg, sac, ppo, balaskas2023, uniform or random.")
    ] = "composite",
    cold: Cold = False,
    agent_from: AgentFrom = None,
    granularities: Granularities = "none,element,filter",
    min_bits: MinBits = 2,
    max_bits: MaxBits = 8,
    end_bits: EndBits = 4,
    clustering: Clustering = False,
    round_to: RoundTo = None,
    repair: Repair = "t1",
    seed: Seed = 0,
    workers: Workers = 1,
    engine: Engine = "auto",
    memory: Memory = None,
    cache: Cache = None,
    out: Annotated[Path, typer.Option(help="New folder for the run.")] = Path("runs/search"),
    input_shape: InputShape = None,
    mean: Mean = None,
    std: Std = None,
    resume: Resume = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Search pruning and bit-widths of every layer.

    rlcompress search --network cifar_resnet20 --weights FILE --data cifar10:DIR --max-drop 1.0 --out RUN

    rlcompress search --network digits_cnn --weights runs/demo/digits_cnn.safetensors --data digits --target latency

    rlcompress search --network my_package.networks:make --weights FILE --data my_package.data:load --hardware mine.yaml
    """
    from rlcompress.cli.progress import SearchBar
    from rlcompress.cli.summary_table import show_result
    from rlcompress.data import check_data_fits, load_data
    from rlcompress.files import file_hash
    from rlcompress.hw_models import load as load_hardware
    from rlcompress.network.pretrained import pretrained
    from rlcompress.searches import METHODS, SearchSettings, run_search
    from rlcompress.searches.folder import RunFolder

    if cold and agent in METHODS and f"{agent}-cold" not in METHODS:
        raise RunError(f"--cold is for composite, nsga2 and tpe; leave it out for {agent!r}")
    if evaluations is None and minutes is None:
        evaluations = 200
    settings = SearchSettings.of(
        {
            "max_drop": max_drop, "goals": floats_of(goals), "evaluations": evaluations, "minutes": minutes,
            "agent": f"{agent}-cold" if cold else agent, "seed": seed, "target": target,
            "agent_from": str(agent_from) if agent_from else None,
            "granularities": names_of(granularities), "min_bits": min_bits, "max_bits": max_bits,
            "end_bits": end_bits, "clustering": clustering, "round_to": round_to,
            "cache": str(cache) if cache else None,
            "repair": repair, "workers": workers, "engine": engine, "memory": memory,
        }
    )  # fmt: skip
    model = load_hardware(hardware)
    splits = load_data(data)
    traced, card = pretrained(network, weights, input_format(network, input_shape, mean, std, splits))
    check_data_fits(card, splits)
    card = replace(card, metric=metric or card.metric)
    inputs = {"network": network, "data": data, "hardware": hardware, "metric": card.metric}
    images = {"input_shape": list(card.input_shape), "mean": list(card.mean), "std": list(card.std)}
    hashes = {"weights": str(weights), "weights_sha256": file_hash(weights)} if weights else {}
    asked = {**settings.as_json(), **inputs, **images, **hashes}
    folder = RunFolder(out, asked, resume=resume, command=typed_command())
    with resumable(out / "run.json"), SearchBar(quiet=quiet) as bar:
        result = run_search(traced, card, splits, model, settings, folder, bar)
    show_result(result, out, quiet=quiet, as_json=as_json)
