"""Layer specs of the built-in networks as files, so that energy reports need no torch.

``python -m rlcompress.network.spec_cards`` writes them again after a network or the tracer has changed; a test holds
them against the tracer.
"""

from importlib.resources import files

from rlcompress.network.cards import CARDS
from rlcompress.spec import LayerSpec, specs_from_json, specs_to_json

_FOLDER = files("rlcompress.network") / "specs"


def built_in_specs(name: str) -> tuple[LayerSpec, ...]:
    """Specs of a built-in network at its card's input shape and class count."""
    return specs_from_json((_FOLDER / f"{name}.json").read_text(), name)


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
        (_FOLDER / f"{name}.json").write_text(specs_to_json(traced_specs(name)))  # type: ignore[attr-defined]


if __name__ == "__main__":
    write_all()
