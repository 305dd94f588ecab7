"""Layer specs of the built-in networks as files, so that energy reports need no torch.

``python -m rlcompress.network.spec_cards`` writes them again after a network or the tracer has changed; a test holds
them against the tracer.
"""

import json
from dataclasses import asdict
from importlib.resources import files

from rlcompress.network.cards import CARDS
from rlcompress.spec import LayerSpec

_FOLDER = files("rlcompress.network") / "specs"


def built_in_specs(name: str) -> tuple[LayerSpec, ...]:
    """Specs of a built-in network at its card's input shape and class count."""
    rows = json.loads((_FOLDER / f"{name}.json").read_text())
    return tuple(LayerSpec(**{**row, "inputs": tuple(row["inputs"]), "strata": tuple(row["strata"])}) for row in rows)


def traced_specs(name: str) -> tuple[LayerSpec, ...]:
    """The same, from the network itself."""
    import torch  # only here: reading specs must not load torch

    from rlcompress.network.trace import trace
    from rlcompress.network.weights import build

    module, card = build(name)
    return trace(module, torch.zeros(1, *card.input_shape), name=name).specs


def write_all() -> None:
    """Write the files of all built-in networks."""
    for name in CARDS:
        rows = [asdict(spec) for spec in traced_specs(name)]
        lines = ",\n".join(json.dumps(row) for row in rows)
        (_FOLDER / f"{name}.json").write_text(f"[\n{lines}\n]\n")  # type: ignore[attr-defined]


if __name__ == "__main__":
    write_all()
