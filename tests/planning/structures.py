"""Small network structures and random sensitivity tables."""

import numpy as np
from hypothesis import strategies as st

from rlcompress.planning import ChoiceSpace, SensitivityRow
from rlcompress.spec import GRANULARITIES, ChoiceBatch, LayerSpec, NetworkStructure


def spec(name, inputs, *, coupling, kind="conv"):
    return LayerSpec(name=name, kind=kind, out_channels=16, in_channels=16, inputs=inputs, coupling=coupling)


# stem feeds two branches that read the same tensor; the right one returns to the stem's channels
RESIDUAL = NetworkStructure(
    [
        spec("stem", (), coupling="stem"),
        spec("left", ("stem",), coupling="left"),
        spec("right", ("stem",), coupling="right"),
        spec("back", ("right",), coupling="stem"),
        spec("add", ("back", "stem"), coupling="stem", kind="add"),
        spec("head", ("add",), coupling=None, kind="linear"),
    ]
)
CHAIN = NetworkStructure(
    [
        spec("a", (), coupling="a"),
        spec("b", ("a",), coupling="b"),
        spec("c", ("b",), coupling="c"),
        spec("d", ("c",), coupling=None, kind="linear"),
    ]
)


@st.composite
def batches(draw: st.DrawFn, layers: int) -> ChoiceBatch:
    """Any choices at all, within and out of range."""
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    shape = (draw(st.integers(1, 6)), layers)
    return ChoiceBatch(
        generator.integers(0, len(GRANULARITIES), shape),
        generator.uniform(0, 1.1, shape),
        generator.integers(0, 12, shape),
        generator.integers(0, 12, shape),
    )


def random_table(space: ChoiceSpace, seed: int) -> list[SensitivityRow]:
    """Errors that fall with bits and keep ratios, each layer with a sensitivity of its own."""
    generator, rows = np.random.default_rng(seed), []
    for i, layer in enumerate(space.layers):
        factors = {"weight_bits": range(2, 9), "activation_bits": range(2, 9)}
        factors |= dict.fromkeys(space.allowed(i)[1:], (0.1, 0.3, 0.5, 0.7, 0.9))
        for factor, values in factors.items():
            sensitivity = generator.lognormal(-2, 1)
            for value in values:
                error = sensitivity * (4.0**-value if factor.endswith("bits") else 0.1 * (1 - value) ** 2)
                rows.append(SensitivityRow(layer.name, factor, float(value), error, 0.0))
    return rows
