import os
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from rlcompress.errors import NetworkError
from rlcompress.network.weight_files import read_state_dict
from rlcompress.network.weights import build, load_weights


@pytest.fixture
def digits_state():
    return build("digits_cnn")[0].state_dict()


def assert_one_line(caught, *parts):
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_build_without_weights_is_in_evaluation_mode():
    module, card = build("digits_cnn")
    assert not module.training
    assert card.classes == 10


def nested(state):
    return {"state_dict": state, "epoch": 3}


def parallel(state):
    return {f"module.{name}": tensor for name, tensor in state.items()}


@pytest.mark.parametrize("wrap", [dict, nested, parallel, lambda state: nested(parallel(state))])
@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files_round_trip(tmp_path, digits_state, wrap, zipped):
    torch.save(wrap(digits_state), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    module, _ = build("digits_cnn", tmp_path / "w.pt")
    assert all(torch.equal(tensor, digits_state[name]) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize("protocol", [2, 3])
def test_torch_files_of_other_pickle_protocols(tmp_path, digits_state, protocol):
    torch.save(digits_state, tmp_path / "w", pickle_protocol=protocol)
    assert torch.equal(read_state_dict(tmp_path / "w")["conv1.weight"], digits_state["conv1.weight"])


def test_safetensors_round_trip_whatever_the_file_is_called(tmp_path, digits_state):
    save_file(digits_state, tmp_path / "weights.bin")
    module, _ = build("digits_cnn", tmp_path / "weights.bin")
    assert all(torch.equal(tensor, digits_state[name]) for name, tensor in module.state_dict().items())


def test_class_count_and_normalisation_are_told_from_the_weights(tmp_path):
    state = build("cifar_resnet8_stem64")[0].state_dict()
    state |= {"linear.weight": torch.zeros(100, 256), "linear.bias": torch.arange(100.0)}
    save_file(state, tmp_path / "w")
    module, card = build("cifar_resnet8_stem64", tmp_path / "w")
    assert (card.classes, card.mean) == (100, (0.507, 0.487, 0.441))
    assert module(torch.zeros(1, 3, 32, 32)).argmax().item() == 99


def test_half_precision_weights_are_accepted(tmp_path, digits_state):
    torch.save({name: tensor.half() for name, tensor in digits_state.items()}, tmp_path / "w")
    module, _ = build("digits_cnn", tmp_path / "w")
    assert next(module.parameters()).dtype == torch.float32


def test_batch_counters_may_be_absent(digits_state):
    module, _ = build("digits_cnn")
    load_weights(module, {k: v for k, v in digits_state.items() if "num_batches" not in k}, "w")


def test_integer_buffers_of_a_network_may_be_integers():
    module = torch.nn.Linear(2, 1)
    module.register_buffer("index", torch.zeros(3, dtype=torch.int64))
    load_weights(module, module.state_dict() | {"index": torch.arange(3)}, "w")
    assert module.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["absent", ""])
def test_a_file_that_cannot_be_opened(tmp_path, name):
    with pytest.raises(NetworkError) as caught:
        read_state_dict(tmp_path / name)
    assert_one_line(caught, str(tmp_path), "give a safetensors or torch file")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no weights at all", b"\x10\0\0\0\0\0\0\0{}"])
def test_a_damaged_file(tmp_path, content):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(NetworkError) as caught:
        read_state_dict(tmp_path / "w")
    assert_one_line(caught, "torch.save(model.state_dict(), FILE)", "safetensors")


@given(data=st.data(), zipped=st.booleans())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_short_anywhere(tmp_path, data, zipped):
    torch.save({"a": torch.ones(50)}, tmp_path / "w", _use_new_zipfile_serialization=zipped)
    content = (tmp_path / "w").read_bytes()
    (tmp_path / "w").write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(NetworkError):
        read_state_dict(tmp_path / "w")


class Exploit:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("protocol", [None, *range(pickle.HIGHEST_PROTOCOL + 1)])
def test_code_in_a_file_is_not_run(tmp_path, protocol):
    content = {"conv1.weight": Exploit(tmp_path / "canary")}
    if protocol is None:
        torch.save(content, tmp_path / "w")
    else:
        (tmp_path / "w").write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(NetworkError) as caught:
        read_state_dict(tmp_path / "w")
    assert not (tmp_path / "canary").exists()
    assert_one_line(caught, "code in a file is never run", "torch.save(model.state_dict(), FILE)")


def test_a_whole_pickled_module_is_refused(tmp_path):
    torch.save(build("digits_cnn")[0], tmp_path / "w")
    with pytest.raises(NetworkError, match="code in a file is never run"):
        read_state_dict(tmp_path / "w")


@pytest.mark.parametrize("content", [{}, [torch.ones(1)], {"a": 1}, {1: torch.ones(1)}, torch.ones(2)])
def test_a_file_without_named_tensors(tmp_path, content):
    torch.save(content, tmp_path / "w")
    with pytest.raises(NetworkError, match="no named tensors"):
        read_state_dict(tmp_path / "w")


def test_weights_of_another_built_in_network_name_it(tmp_path):
    torch.save(build("cifar_resnet32")[0].state_dict(), tmp_path / "w")
    with pytest.raises(NetworkError) as caught:
        build("cifar_resnet20", tmp_path / "w")
    assert_one_line(caught, "60 unexpected (first 'layer1.3.", "they fit --network cifar_resnet32")


def test_weights_that_differ_in_shape_only_name_their_network(tmp_path):
    torch.save(build("mobilenet_v1_0.25")[0].state_dict(), tmp_path / "w")
    with pytest.raises(NetworkError) as caught:
        build("mobilenet_v1_0.5", tmp_path / "w")
    assert_one_line(caught, "(8, 3, 3, 3) in place of (16, 3, 3, 3)", "they fit --network mobilenet_v1_0.25")


def test_a_renamed_tensor_is_shown_beside_its_closest_name(tmp_path, digits_state):
    digits_state["conv_1.weight"] = digits_state.pop("conv1.weight")
    torch.save(digits_state, tmp_path / "w")
    with pytest.raises(NetworkError) as caught:
        build("digits_cnn", tmp_path / "w")
    assert_one_line(
        caught,
        f"weights {tmp_path / 'w'}",
        "1 of 27 tensors missing (first 'conv1.weight', closest 'conv_1.weight')",
        "1 unexpected (first 'conv_1.weight', closest 'conv1.weight')",
    )


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        (lambda tensor: tensor * float("nan"), "holds NaN or infinite values"),
        (lambda tensor: tensor / 0 + 1, "holds NaN or infinite values"),
        (lambda tensor: tensor.to(torch.int8), "is int8, not plain floating point"),
        (lambda tensor: tensor.to_sparse(), "not plain floating point"),
        (lambda tensor: tensor[1:], "has shape (31, 16, 3, 3) in place of (32, 16, 3, 3)"),
    ],
)
def test_a_spoiled_tensor_is_named_and_nothing_is_loaded(digits_state, spoil, mend):
    module, _ = build("digits_cnn")
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(NetworkError) as caught:
        load_weights(module, digits_state | {"conv2.weight": spoil(digits_state["conv2.weight"])}, "w.pt")
    assert_one_line(caught, "weights w.pt", "'conv2.weight'", mend)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
