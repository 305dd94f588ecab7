"""A run folder as a search writes it, without a search."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rlcompress import hw_models
from rlcompress.network.spec_cards import built_in_specs
from rlcompress.spec import CompressionPolicy, LayerChoice, NetworkReference, fingerprint, specs_to_json

_HARDWARE = "scalable_sparse_16x32"
_CANDIDATES = 12
_FRONT = (4, 8, 11)

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes runs/NAME; keyword arguments replace settings; ``finished=False`` leaves the search running."""

    def make(name: str = "run", *, finished: bool = True, **settings: Any) -> Path:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        write_run(folder, {**SETTINGS, **settings}, finished)
        return folder

    return make


SETTINGS = {
    "network": "digits_cnn",
    "data": "digits",
    "hardware": _HARDWARE,
    "agent": "composite",
    "seed": 0,
    "target": "energy",
    "max_drop": 1.0,
    "evaluations": _CANDIDATES,
    "minutes": None,
    "granularities": ["none", "element", "filter"],
    "min_bits": 2,
    "max_bits": 8,
    "score_images": 250,
}


def write_run(folder: Path, settings: dict[str, Any], finished: bool) -> None:
    """Write a run into an existing folder."""
    specs, hardware = built_in_specs("digits_cnn"), hw_models.load(_HARDWARE)
    layers = [spec.name for spec in specs if spec.compressible]
    (folder / "run.json").write_text(json.dumps({"settings": settings, "rlcompress": "0.1.0", "python": "3.11"}))
    (folder / "network.json").write_text(specs_to_json(specs))
    (folder / "hardware.yaml").write_text(hardware.document[1])
    _write_csv(folder / "sensitivity.csv", _sensitivity(layers))
    dense = hardware.cost(specs, {name: LayerChoice() for name in layers})
    rows, policies = [], []
    for i in range(_CANDIDATES):
        choice = LayerChoice(
            granularity="element", keep_ratio=(20 - i) / 25, weight_bits=8 - i // 2, activation_bits=8 - i // 3
        )
        choices = dict.fromkeys(layers, choice)
        cost = hardware.cost(specs, choices)
        policies.append(choices)
        rows.append(_candidate(i, choice, cost.energy_uj, cost.latency_ms, dense.energy_uj, layers))
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if not finished:
        return
    figures = [_figures(rows[i]) for i in _FRONT]
    _write_csv(folder / "front.csv", figures)
    reference = NetworkReference(name="digits_cnn", fingerprint=fingerprint(specs))
    CompressionPolicy.of(policies[4], network=reference, hardware=_HARDWARE).save(folder / "policy.json")
    baseline = {
        "energy_uj": dense.energy_uj,
        "latency_ms": dense.latency_ms,
        "metric_search": 99.0,
        "metric_test": 98.0,
    }
    result = {
        **{key: settings[key] for key in ("network", "hardware", "target", "seed", "evaluations")},
        "seconds": 8.5,
        "baseline": baseline,
        "baseline_16bit": baseline,
        "best": figures[0],
    }
    (folder / "result.json").write_text(json.dumps(result))


def _candidate(
    i: int, choice: LayerChoice, energy: float, latency: float, dense: float, layers: Sequence[str]
) -> dict[str, Any]:
    drop = 0.2 * i
    return {
        "evaluation": i + 1,
        "policy": f"{i:012x}",
        "source": "planner" if i < 3 else "composite",
        "energy_uj": energy,
        "latency_ms": latency,
        "saved_pct": 100 * (1 - energy / dense),
        "score": {
            "metric": 99 - drop,
            "drop": drop,
            "drop_error": 0.3,
            "agreement": 99.0,
            "logit_mse": 0.1,
            "images": 250,
        },
        "choices": dict.fromkeys(layers, choice.model_dump()),
    }


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    drop = row["score"]["drop"]
    return {
        "id": row["policy"],
        "energy_uj": row["energy_uj"],
        "latency_ms": row["latency_ms"],
        "metric_search": 99.0 - drop,
        "metric_test": 98.0 - drop,
        "energy_saved_pct": row["saved_pct"],
        "drop_search": drop,
        "drop_search_error": 0.2,
        "drop_test": drop,
        "drop_test_error": 0.4,
        "images_test": 596,
    }


def _sensitivity(layers: list[str]) -> list[dict[str, Any]]:
    return [
        {"layer": layer, "factor": factor, "value": value, "logit_mse": 0.1 / value, "kl": 0.01 / value}
        for layer in layers
        for factor, value in (("weight_bits", 4.0), ("activation_bits", 4.0), ("element", 0.4))
    ]


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
