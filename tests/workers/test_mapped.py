import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F

from rlcompress.candidates.template import quantizable
from rlcompress.errors import WorkerError
from rlcompress.network.trace import trace
from rlcompress.network.weights import build
from rlcompress.plugins import resolve
from rlcompress.workers.mapped import from_bytes, read_mapped, to_bytes, write_mapped

TENSORS = {
    "bytes": torch.arange(7, dtype=torch.uint8),
    "channels_last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "part": torch.arange(24.0).view(4, 6)[1:3, 2:4],
    "transposed": torch.arange(6.0).view(2, 3).T,
    "repeated": torch.ones(1, 3).expand(4, 3),
    "empty": torch.zeros(0, 3),
    "scalar": torch.tensor(3.5, dtype=torch.float64),
    "truth": torch.tensor([True, False]),
    "parameter": nn.Parameter(torch.ones(2)),
}


def test_tensors_come_back_equal(tmp_path: Path) -> None:
    write_mapped(TENSORS, tmp_path)
    back = read_mapped(tmp_path)
    for name, tensor in TENSORS.items():
        assert torch.equal(back[name], tensor), name
        assert back[name].dtype == tensor.dtype
    assert back["channels_last"].stride() == TENSORS["channels_last"].stride()
    assert isinstance(back["parameter"], nn.Parameter)


def test_bytes_hold_tensors_and_plain_values() -> None:
    back = from_bytes(to_bytes({**TENSORS, "plain": (1, "two")}))
    assert back.pop("plain") == (1, "two")
    assert all(torch.equal(back[name], tensor) for name, tensor in TENSORS.items())
    assert from_bytes(to_bytes(7)) == 7


def test_changes_stay_with_the_process(tmp_path: Path) -> None:
    write_mapped([torch.zeros(4)], tmp_path)
    read_mapped(tmp_path)[0].add_(1)
    assert torch.equal(read_mapped(tmp_path)[0], torch.zeros(4))


@pytest.mark.parametrize("name", ["digits_cnn", "cifar_resnet20", "mobilenet_v1_0.25"])
def test_graphs_keep_names_meta_data_and_results(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, card = build(name)
    images = torch.randn(2, *card.input_shape)
    network = trace(module, images[:1])
    graph = quantizable(network).to(memory_format=torch.channels_last)
    write_mapped(network, tmp_path)
    network_back, graph_back = read_mapped(tmp_path), from_bytes(to_bytes(graph))
    assert network_back.specs == network.specs
    for before, after in ((network.graph, network_back.graph), (graph, graph_back)):
        assert [n.name for n in before.graph.nodes] == [n.name for n in after.graph.nodes]
        assert [n.meta.get("shape") for n in before.graph.nodes] == [n.meta.get("shape") for n in after.graph.nodes]
        assert not after.training
        with torch.no_grad():
            assert torch.equal(before(images), after(images))


class Pooled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(F.relu(x), 2)


def test_functions_that_their_module_knows_by_another_name_go(tmp_path: Path) -> None:
    write_mapped(fx.symbolic_trace(Pooled()), tmp_path)
    x = torch.randn(1, 2, 4, 4)
    assert torch.equal(read_mapped(tmp_path)(x), Pooled()(x))


def test_what_a_file_defines_is_found_in_another_process(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from torch import nn\n\n\nclass Own(nn.Module):\n    class Inner:\n        pass\n\n\n"
        "def double(x):\n    return 2 * x\n"
    )
    own = [resolve(f"{file}:{name}", "network", WorkerError) for name in ("Own", "Own.Inner", "double")]
    write_mapped([own[0](), *own], tmp_path)
    code = (
        "import sys\nfrom pathlib import Path\nfrom rlcompress.workers.mapped import read_mapped\n"
        "made, own, inner, double = read_mapped(Path(sys.argv[1]))\n"
        "assert type(made) is own and own.Inner is inner and double(4) == 8\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_cannot_go_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"cannot be handed to workers: .*lambda.*; define metric") as caught:
        write_mapped(lambda: 0, tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(WorkerError, match=r"cannot write to .*absent"):
        write_mapped(0, tmp_path / "absent")
