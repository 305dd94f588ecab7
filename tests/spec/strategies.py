"""Hypothesis strategies for choices and policies."""

from hypothesis import strategies as st

from rlcompress.spec import CRITERIA, GRANULARITIES, WEIGHT_QUANTIZERS, LayerChoice

bits = st.sampled_from([*range(2, 9), 16])
pruned_ratios = st.floats(0.0, 1.0, exclude_min=True, exclude_max=True)


@st.composite
def choices(draw: st.DrawFn) -> LayerChoice:
    granularity = draw(st.sampled_from(GRANULARITIES))
    keep_ratio = 1.0 if granularity == "none" else draw(pruned_ratios)
    weight_bits = draw(bits)
    return LayerChoice(
        granularity=granularity,
        keep_ratio=keep_ratio,
        criterion=draw(st.sampled_from(CRITERIA)),
        weight_quantizer=draw(st.sampled_from(WEIGHT_QUANTIZERS)) if weight_bits < 8 else "uniform",
        weight_bits=weight_bits,
        activation_bits=draw(bits),
    )


names = st.text(min_size=1, max_size=12)
metrics = st.dictionaries(
    names, st.none() | st.text() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
layer_choices = st.dictionaries(names, choices(), min_size=1, max_size=6)
