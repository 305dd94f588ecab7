import pytest

from rlcompress.errors import NetworkError
from rlcompress.spec import LayerSpec, specs_from_json, specs_to_json


def test_specs_survive_the_file() -> None:
    specs = (
        LayerSpec(name="conv", kind="conv", out_channels=4, in_channels=3, coupling="conv", input_density=0.5),
        LayerSpec(name="add", kind="add", out_channels=4, in_channels=4, inputs=("conv", "conv"), strata=(1, 3)),
    )
    assert specs_from_json(specs_to_json(specs), "network.json") == specs


@pytest.mark.parametrize(
    "text", ["", "{}1", "[1]", '[{"name": "a"}]', '{"a": 1}', '[{"inputs": [], "strata": [], "x": 1}]']
)
def test_what_is_no_list_of_specs_is_named(text: str) -> None:
    with pytest.raises(NetworkError, match=r"network\.json: not a list of layer specs"):
        specs_from_json(text, "network.json")
