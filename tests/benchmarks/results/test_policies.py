import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.results.policies import from_text, to_text
from rlcompress.errors import PolicyError
from rlcompress.spec import CRITERIA, GRANULARITIES, LayerChoice

BITS = st.integers(2, 8)
DENSE = st.builds(LayerChoice, weight_bits=BITS, activation_bits=BITS)
PRUNED = st.builds(
    LayerChoice,
    granularity=st.sampled_from([name for name in GRANULARITIES if name != "none"]),
    criterion=st.sampled_from(CRITERIA),
    keep_ratio=st.integers(1, 19).map(lambda step: round(0.05 * step, 10)),
    weight_bits=BITS,
    activation_bits=BITS,
)


@given(st.lists(DENSE | PRUNED, max_size=5))
def test_policies_come_back(choices: list[LayerChoice]) -> None:
    assert from_text(to_text(choices)) == choices


@pytest.mark.parametrize("word", ["w8", "x80w6a5", "e80", "w8a8,w8a8", "e80(luck)w8a8"])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(PolicyError, match=r"is no layer of a policy; such a word looks like w8a8|criterion"):
        from_text(f"w8a8 {word}")
