import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.pruning import filter_classes, voted
from rlcompress.spec import keep_count

CLASSES = {"a": np.array([0, 1, 2, 3]), "b": np.array([4, 0, 1, 5, 2, 3])}  # b: option A, 4 and 5 are its own


def kept_classes(importance, keep_ratio):
    classes = {name: CLASSES[name] for name in importance}
    return filter_classes(voted(importance, classes), classes, keep_ratio)


def test_coupled_layers_vote_on_shared_classes():
    importance = {
        "a": torch.tensor([[9.0], [1.0], [1.0], [1.0]]),  # mean 3
        "b": torch.tensor([[1.0], [0.0], [0.0], [2.0], [3.0], [0.0]]),  # mean 1
    }
    # shared classes: 0 -> 3, 1 -> 1/3, 2 -> 1/3 + 3, 3 -> 1/3; own ones: 4 -> 1, 5 -> 2
    assert kept_classes(importance, 0.5) == {0, 2, 5}
    assert kept_classes(importance, 0.25) == {2, 5}
    assert kept_classes(importance, 0.75) == {2, 0, 1, 5, 4}


@given(steps=st.integers(1, 20), seed=st.integers(0, 50))
def test_every_stratum_keeps_the_share(steps, seed):
    generator = torch.Generator().manual_seed(seed)
    importance = {name: torch.rand(len(c), 2, 3, generator=generator) for name, c in CLASSES.items()}
    kept = kept_classes(importance, steps / 20)
    assert len(kept & {0, 1, 2, 3}) == keep_count(4, steps / 20)
    assert len(kept & {4, 5}) == keep_count(2, steps / 20)


def test_scale_of_a_layer_does_not_matter_and_dead_layers_do_not_vote():
    generator = torch.Generator().manual_seed(0)
    importance = {name: torch.rand(len(c), 5, generator=generator) for name, c in CLASSES.items()}
    kept = kept_classes(importance, 0.5)
    assert kept_classes({**importance, "a": importance["a"] * 1000}, 0.5) == kept
    alone = kept_classes({"b": importance["b"]}, 0.5)
    assert len(alone) == 3
    dead = kept_classes({"a": torch.zeros(4, 5), "b": importance["b"]}, 0.5)
    ranked = sorted({0: 1, 1: 2, 2: 4, 3: 5}.items(), key=lambda item: -float(importance["b"][item[1]].sum()))
    assert dead & {0, 1, 2, 3} == {c for c, _ in ranked[:2]}
