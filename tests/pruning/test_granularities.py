import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlcompress.pruning import GRANULARITY_MASKS, block_mask, element_mask
from rlcompress.pruning.granularities import n_of_m_mask
from rlcompress.spec import FIXED_KEEP_RATIOS, GRANULARITIES, keep_count


def shaped(*rows):
    """[K, C, 1] importance from rows of inputs."""
    return torch.tensor(rows, dtype=torch.float32)[..., None]


def kept(granularity, importance, keep_ratio):
    return GRANULARITY_MASKS[granularity](importance, keep_ratio).flatten(1).int().tolist()


def test_every_granularity_has_a_mask():
    assert tuple(GRANULARITY_MASKS) == GRANULARITIES


def test_the_most_important_elements_stay():
    importance = torch.tensor([[3.0, 1.0], [2.0, 5.0]])
    assert element_mask(importance, 0.5).tolist() == [[True, False], [False, True]]
    assert element_mask(importance, 0.01).tolist() == [[False, False], [False, True]]
    assert element_mask(importance, 1.0).all()


@given(rows=st.integers(1, 8), columns=st.integers(1, 8), steps=st.integers(1, 20), levels=st.integers(1, 4))
def test_exactly_as_many_stay_even_with_ties(rows, columns, steps, levels):
    importance = torch.randint(levels, (rows, columns), generator=torch.Generator().manual_seed(rows)).float()
    mask = element_mask(importance, steps / 20)
    assert int(mask.sum()) == keep_count(rows * columns, steps / 20)
    if not mask.all():
        assert importance[mask].min() >= importance[~mask].max()


def test_of_equal_elements_the_first_stay():
    assert element_mask(torch.tensor([1.0, 2.0, 1.0, 1.0, 2.0]), 0.6).tolist() == [True, True, False, False, True]


def test_two_and_one_of_four_by_hand():
    importance = shaped([1, 4, 2, 3, 9, 9, 9, 9], [0, 0, 0, 5, 8, 1, 7, 2])
    assert kept("n:m", importance, 0.5) == [[0, 1, 0, 1, 1, 1, 0, 0], [1, 0, 0, 1, 1, 0, 1, 0]]
    assert kept("n:m", importance, 0.25) == [[0, 1, 0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0, 0]]


def test_groups_of_n_of_m_lie_along_the_inputs_not_in_the_window():
    importance = torch.zeros(1, 4, 9)
    importance[0, 0] = 1.0  # every kernel position has its own group
    assert torch.equal(n_of_m_mask(importance, 0.25), importance.bool())


@pytest.mark.parametrize("channels", [5, 6, 7])
def test_a_short_last_group_keeps_no_more_than_n(channels):
    mask = n_of_m_mask(torch.rand(3, channels, 2, generator=torch.Generator().manual_seed(0)), 0.5)
    assert (mask[:, :4].sum(1) == 2).all()
    assert (mask[:, 4:].sum(1) == min(2, channels - 4)).all()


def test_blocks_by_hand():
    importance = shaped([1, 1, 1, 1, 0, 0, 0, 9], [2, 2, 2, 3, 0, 0, 1, 0])
    assert kept("block", importance, 0.5) == [[0, 0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0, 0]]
    assert block_mask(importance, 0.5, size=2)[..., 0].int().tolist() == [
        [1, 1, 0, 0, 0, 0, 1, 1],
        [1, 1, 1, 1, 0, 0, 0, 0],
    ]
    down = block_mask(importance.transpose(0, 1), 0.5, along="outputs")
    assert torch.equal(down, GRANULARITY_MASKS["block"](importance, 0.5).transpose(0, 1))


def test_patterns_come_from_the_library_of_the_layer():
    corner, cross = [0, 1, 3, 4], [1, 3, 5, 7]
    importance = torch.full((12, 1, 9), 0.1)
    for k in range(12):
        importance[k, 0, corner if k < 7 else cross] = 2.0
    lone = [range(i, i + 4) for i in range(6)] + [[0, 2, 4, 6], [0, 2, 4, 8], [2, 4, 6, 8]]
    lonely = torch.full((len(lone), 1, 9), 0.1)
    for row, positions in zip(lonely, lone, strict=True):
        row[0, list(positions)] = 1.0
    mask = GRANULARITY_MASKS["pattern"](torch.cat([importance, lonely]), 0.45).flatten(1)
    assert (mask.sum(1) == 4).all()
    assert all(mask[k].nonzero().flatten().tolist() == (corner if k < 7 else cross) for k in range(12))
    assert len(mask.unique(dim=0)) == 8  # of 11 that kernels would like; the others take the next best
    left = lonely.flatten(1)
    library = mask.unique(dim=0).float()
    torch.testing.assert_close((left * mask[12:]).sum(1), (left @ library.T).amax(1))


def test_whole_kernels_by_hand():
    importance = torch.tensor([[[1.0, 1.0], [0.0, 3.0]], [[2.0, 2.0], [0.5, 0.0]]])
    assert kept("kernel", importance, 0.5) == [[0, 0, 1, 1], [1, 1, 0, 0]]


def test_channels_by_hand():
    importance = torch.tensor([[[1.0, 1.0], [0.0, 3.0]], [[2.0, 2.0], [0.5, 0.0]]])
    assert kept("channel", importance, 0.5) == [[1, 1, 0, 0], [1, 1, 0, 0]]


@pytest.mark.parametrize("granularity", GRANULARITY_MASKS)
@given(rows=st.integers(1, 6), groups=st.integers(1, 3), seed=st.integers(0, 20), steps=st.integers(1, 19))
def test_the_asked_share_stays(granularity, rows, groups, seed, steps):
    importance = torch.rand(rows, 4 * groups, 9, generator=torch.Generator().manual_seed(seed))
    ratio = FIXED_KEEP_RATIOS.get(granularity, (steps / 20,))[0]
    mask = GRANULARITY_MASKS[granularity](importance, ratio)
    assert mask.shape == importance.shape
    assert mask.dtype == torch.bool
    units = {"element": 1, "n:m": 1, "block": 4, "pattern": 9, "kernel": 9, "channel": 9 * rows}
    if granularity in ("none", "filter"):
        assert mask.all()
    elif granularity == "pattern":
        assert (mask.sum(2) == 4).all()
    else:
        assert int(mask.sum()) == units[granularity] * keep_count(mask.numel() // units[granularity], ratio)
