import pytest

from rlcompress.spec import GRANULARITIES, LayerSpec, applies, offered_keep_ratios


def spec(**shape):
    values = {"kind": "conv", "out_channels": 16, "in_channels": 16, "coupling": "a", **shape}
    return LayerSpec(name="layer", **values)


WINDOW = {"kernel_height": 3, "kernel_width": 3}


@pytest.mark.parametrize(
    ("layer", "without"),
    [
        (spec(**WINDOW), set()),
        (spec(**WINDOW, in_channels=6), {"n:m"}),
        (spec(kernel_height=5, kernel_width=5), {"pattern"}),
        (spec(), {"pattern", "kernel"}),
        (spec(kind="linear", coupling=None), {"pattern", "kernel", "filter"}),
        (spec(**WINDOW, kind="depthwise", groups=16), {"n:m", "block", "kernel", "channel"}),
        (spec(**WINDOW, groups=4), {"channel"}),
    ],
)
def test_what_a_shape_allows(layer, without):
    assert {name for name in GRANULARITIES if not applies(name, layer)} == without


def test_offered_keep_ratios():
    assert offered_keep_ratios("element", [0.3, 0.6, 1.0]) == [0.3, 0.6]
    assert offered_keep_ratios("n:m", [0.1, 1.0]) == [0.25, 0.5]
    assert offered_keep_ratios("n:m", [0.3, 1.0]) == [0.5]
    assert offered_keep_ratios("pattern", [0.1, 1.0]) == [0.45]
    assert offered_keep_ratios("pattern", [0.5, 1.0]) == []
    assert offered_keep_ratios("none", [0.1, 1.0]) == []
