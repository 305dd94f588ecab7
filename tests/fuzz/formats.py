"""Every format of file that rlcompress reads, with an honest example and the way it is read and used."""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from rlcompress import hw_models
from rlcompress.agents import CompositeAgent, CompositeSettings, load_agent, save_agent
from rlcompress.data import load_data
from rlcompress.export.reading import read_exported
from rlcompress.hw_models import library
from rlcompress.network.spec_cards import built_in_specs
from rlcompress.network.weights import build
from rlcompress.report import write_report
from rlcompress.searches.folder import RunFolder
from rlcompress.spec import CompressionPolicy, LayerChoice, fingerprint
from rlcompress.spec.policy import NetworkReference
from rlcompress.sweeps import read_sweep
from tests.agents.hybrid_env import HybridEnv
from tests.data.python2_pickle import dumps
from tests.export.test_exporting import exported
from tests.fuzz import mutations
from tests.report.conftest import SETTINGS, write_run

_SPECS = built_in_specs("digits_cnn")
_DENSE = {spec.name: LayerChoice() for spec in _SPECS if spec.compressible}


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        name: of the file.
        example: makes its honest content.
        spoiled: strategy of its contents after accidents.
        use: reads the file in a folder, and does with it what a command does.
    """

    name: str
    example: Callable[[], bytes]
    spoiled: Callable[[bytes], st.SearchStrategy[bytes]]
    use: Callable[[Path], object]


def _policy() -> bytes:
    network = NetworkReference(name="digits_cnn", fingerprint=fingerprint(_SPECS))
    return CompressionPolicy.of(_DENSE, network=network, hardware="npu_int8", metrics={"drop": 0.5}).to_json().encode()


def _use_hardware(path: Path) -> None:
    hw_models.load(path).cost(_SPECS, _DENSE)


def _description(name: str) -> Callable[[], bytes]:
    return (Path(library.__file__).parent / "descriptions" / f"{name}.yaml").read_bytes


def _table() -> bytes:
    rows = ["layer,weight_bits,activation_bits,keep_ratio,latency_ms,energy_uj"]
    rows += [f"{name},{w},{a},1,{0.1 * w},{0.2 * a}" for name in _DENSE for w in (4, 8) for a in (4, 8)]
    return "\n".join(rows).encode()


@cache
def _state() -> dict[str, torch.Tensor]:
    return dict(build("digits_cnn")[0].state_dict())


def _torch_file(zipped: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(_state(), stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def _spoiled_zip(content: bytes) -> st.SearchStrategy[bytes]:
    """A torch file spoiled as it is, or in its pickle with the zip around it whole."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        records = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    pickled = next(name for name in records if name.endswith("data.pkl"))

    def packed(changed: bytes) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, record in {**records, pickled: changed}.items():
                archive.writestr(name, record)
        return stream.getvalue()

    return mutations.spoiled_bytes(content) | mutations.spoiled_bytes(records[pickled]).map(packed)


def _use_weights(path: Path) -> None:
    build("digits_cnn", path)


def _binary() -> bytes:
    return np.random.RandomState(0).randint(0, 10, (8, 3073)).astype(np.uint8).tobytes()


def _python_batch() -> bytes:
    pixels = np.random.RandomState(0).randint(0, 256, (8, 3072)).astype(np.uint8)
    return dumps({b"batch_label": b"a", b"labels": list(range(8)), b"data": pixels, b"filenames": [b"x.png"] * 8})


def _use_cifar(path: Path) -> None:
    name = "test_batch.bin" if path.suffix else "test_batch"
    (path.parent / name).write_bytes(_binary() if path.suffix else _python_batch())
    load_data(f"cifar10:{path.parent}").test  # noqa: B018  # the test images are read when they are asked for


def _agent() -> bytes:
    settings = CompositeSettings(net_arch=(8,), batch_size=8, learning_starts=4, buffer_size=100)
    agent = CompositeAgent("MlpPolicy", HybridEnv(), 3, settings, seed=0, device="cpu").learn(10)
    with tempfile.TemporaryDirectory() as folder:
        save_agent(agent, Path(folder) / "agent", replay=True)
        return (Path(folder) / "agent").read_bytes()


def _exported() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        exported("mobile", Path(folder) / "small.safetensors", "safetensors")
        return (Path(folder) / "small.safetensors").read_bytes()


def _sweep() -> bytes:
    networks = "networks:\n  - {network: digits_cnn, data: digits}\n"
    return f"{networks}hardware: [npu_int8]\nmax_drops: [0.5, 1]\nseeds: [0, 1]\nsettings: {{min_bits: 2}}\n".encode()


_SETTINGS = {"agent": "random", "seed": 0, "max_drop": 1.0}


def _run() -> bytes:
    return json.dumps({"settings": _SETTINGS, "python": "3.11", "libraries": {}}, indent=1).encode()


def _history() -> bytes:
    score = {"metric": 90.0, "drop": 0.5, "drop_error": 0.1, "agreement": 99.0, "logit_mse": 0.01, "images": 200}
    rows = [
        {"evaluation": i, "policy": f"{i:012x}", "source": "random", "energy_uj": 1.5, "score": score, "choices": []}
        for i in range(1, 5)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _use_run(path: Path) -> None:
    for name, example in (("run.json", _run), ("history.jsonl", _history)):
        if path.name != name:
            (path.parent / name).write_bytes(example())
    folder = RunFolder(path.parent, _SETTINGS, resume=True)
    folder.release()


@cache
def _finished_run(name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_run(Path(folder), SETTINGS, finished=True)
        return (Path(folder) / name).read_bytes()


def _use_report(path: Path) -> None:
    """A report of a run in which one file is spoiled."""
    for name in _RUN_FILES:
        if name != path.name:
            (path.parent / name).write_bytes(_finished_run(name))
    write_report([path.parent])


_RUN_FILES = (
    "run.json",
    "network.json",
    "hardware.yaml",
    "sensitivity.csv",
    "history.jsonl",
    "front.csv",
    "policy.json",
    "result.json",
)
_SPOILERS = {"json": mutations.spoiled_json, "jsonl": mutations.spoiled_lines, "csv": mutations.spoiled_bytes}


def _reported(name: str) -> Format:
    spoiled = _SPOILERS[name.partition(".")[2]]
    return Format(name, lambda: _finished_run(name), spoiled, _use_report)


def _picture(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (24, 24, 3)).astype(np.uint8)).save(stream, kind)
    return stream.getvalue()


def _use_picture(path: Path) -> None:
    for place in ("train/a", "train/b", "val/a", "val/b"):
        (path.parent / place).mkdir(parents=True)
        (path.parent / place / "1.png").write_bytes(_picture("PNG"))
        (path.parent / place / "2.png").write_bytes(path.read_bytes())
    load_data(f"imagefolder:{path.parent}?size=16").test  # noqa: B018


def _set5() -> bytes:
    stream = io.BytesIO()
    picture = np.random.RandomState(0).randint(0, 256, (16, 16, 3)).astype(np.uint8)
    np.savez(stream, **dict.fromkeys(("baby_GT", "bird_GT", "butterfly_GT", "head_GT", "woman_GT"), picture))
    return stream.getvalue()


def _use_set5(path: Path) -> None:
    (path.parent / "train").mkdir()
    chance = np.random.RandomState(0)
    Image.fromarray(chance.randint(0, 256, (64, 64, 3)).astype(np.uint8)).save(path.parent / "train" / "a.png")
    load_data(f"set5:{path.parent}?train={path.parent / 'train'}&crops=2&size=12").test  # noqa: B018


FORMATS = {
    "policy": Format(
        "policy.json", _policy, mutations.spoiled_json, lambda p: CompressionPolicy.load(p).check_fits(_SPECS)
    ),
    "hardware": Format("mine.yaml", _description("scalable_sparse_16x32"), mutations.spoiled_yaml, _use_hardware),
    "processor": Format("mine.yaml", _description("eyeriss_v1"), mutations.spoiled_yaml, _use_hardware),
    "table": Format("mine.csv", _table, mutations.spoiled_bytes, _use_hardware),
    "safetensors": Format("w", lambda: save(_state()), mutations.spoiled_safetensors, _use_weights),
    "torch": Format("w", lambda: _torch_file(True), _spoiled_zip, _use_weights),
    "old torch": Format("w", lambda: _torch_file(False), mutations.spoiled_bytes, _use_weights),
    "cifar": Format("data_batch_1.bin", _binary, mutations.spoiled_bytes, _use_cifar),
    "cifar python": Format("data_batch_1", _python_batch, mutations.spoiled_bytes, _use_cifar),
    "exported": Format("small.safetensors", _exported, mutations.spoiled_strings, read_exported),
    "agent": Format("agent", _agent, mutations.spoiled_strings, lambda p: load_agent(p, HybridEnv())),
    "png": Format("picture", lambda: _picture("PNG"), mutations.spoiled_bytes, _use_picture),
    "jpeg": Format("picture", lambda: _picture("JPEG"), mutations.spoiled_bytes, _use_picture),
    "tiff": Format("picture", lambda: _picture("TIFF"), mutations.spoiled_bytes, _use_picture),
    "set5": Format("set5.npz", _set5, mutations.spoiled_bytes, _use_set5),
    **{f"report {name}": _reported(name) for name in _RUN_FILES if name not in ("hardware.yaml", "policy.json")},
    "sweep": Format("sweep.yaml", _sweep, mutations.spoiled_yaml, read_sweep),
    "run": Format("run.json", _run, mutations.spoiled_json, _use_run),
    "history": Format("history.jsonl", _history, mutations.spoiled_lines, _use_run),
}
"""Format by a short name."""
