import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress.data import ImageSet
from rlcompress.data.moved import half_moved
from rlcompress.errors import DataError


def picture_set(count: int, dtype: torch.dtype = torch.uint8, labels: bool = True) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(count, 3, 4, 5, generator=generator), (24, 30), mode="bilinear")
    return ImageSet((255 * smooth).to(dtype), torch.arange(count) % 7 if labels else None)


@given(count=st.integers(1, 140))
@settings(max_examples=8, deadline=None)
def test_every_second_image_is_moved_a_little(count: int) -> None:
    images = picture_set(count)
    moved = half_moved(images)
    assert moved.images.dtype == torch.uint8
    assert torch.equal(moved.images[::2], images.images[::2])
    assert torch.equal(moved.labels, images.labels)
    difference = (moved.images[1::2].float() - images.images[1::2].float()).abs().flatten(1).mean(1)
    assert bool((difference > 0.0).all())
    assert bool((difference < 40.0).all())


def test_the_draw_is_the_same_and_differs_from_image_to_image() -> None:
    one = ImageSet(picture_set(1).images.repeat(8, 1, 1, 1), None)
    first, second = half_moved(one).images, half_moved(one).images
    assert torch.equal(first, second)
    assert len(torch.unique(first[1::2], dim=0)) == 4


def test_a_round_picture_in_the_middle_keeps_its_middle() -> None:
    """Rotation and scale are about the centre, in pixels of equal height and width."""
    rows, columns = torch.meshgrid(torch.arange(40) - 19.5, torch.arange(60) - 29.5, indexing="ij")
    disc = (255.0 * (rows.hypot(columns) < 12)).expand(20, 3, 40, 60).clone()
    moved = half_moved(ImageSet(disc, None)).images[1::2, 0]
    weight = moved.sum((1, 2))
    assert torch.allclose((moved * rows).sum((1, 2)) / weight, torch.zeros(10), atol=0.1)
    assert torch.allclose((moved * columns).sum((1, 2)) / weight, torch.zeros(10), atol=0.1)
    spread = [(moved * axis.square()).sum((1, 2)) / weight for axis in (rows, columns)]
    assert torch.allclose(spread[0], spread[1], rtol=0.02)
    assert bool(((spread[0] > 0.7 * 36) & (spread[0] < 1.35 * 36)).all())
    assert spread[0].std() > 1.0


def test_maps_would_have_to_move_along() -> None:
    with pytest.raises(DataError, match="leave it out"):
        half_moved(ImageSet(picture_set(4).images, torch.zeros(4, 1, 24, 30)))
