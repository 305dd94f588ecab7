"""Exported files as networks that an evaluator can score."""

from pathlib import Path
from typing import Annotated, Any, Self

import torch
from pydantic import BaseModel, Field, ValidationError, model_validator
from torch import Tensor, nn

from rlcompress.errors import NetworkError
from rlcompress.export import tensors
from rlcompress.export.exporting import ENDINGS
from rlcompress.files import LimitError, parse_json, read_bytes
from rlcompress.network.cards import NetworkCard

_MAX_FILE_BYTES = 4_000_000_000

_Side = Annotated[int, Field(ge=1, le=4096, strict=True)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Network(BaseModel):
    name: str
    classes: int | None
    source: str
    metric: str | None


class _Preprocessing(BaseModel):
    input_shape: tuple[_Side, _Side, _Side]
    mean: tuple[_Finite, ...]
    std: tuple[Annotated[_Finite, Field(gt=0)], ...]

    @model_validator(mode="after")
    def _one_a_channel(self) -> Self:
        if not len(self.mean) == len(self.std) == self.input_shape[0]:
            raise ValueError("mean and std are one value a channel")
        return self


class _About(BaseModel):
    network: _Network
    preprocessing: _Preprocessing


class OnnxNetwork(nn.Module):
    """An ONNX model in onnxruntime, on one CPU thread.

    Args:
        path: the file.

    Attributes:
        about: the model's metadata.

    Raises:
        NetworkError: onnxruntime is not installed, or cannot read the file.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        try:
            import onnxruntime
        except ImportError:
            raise NetworkError("scoring ONNX files needs onnxruntime; install it, or the extra 'export'") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            content = read_bytes(path, _MAX_FILE_BYTES)
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # a damaged file can raise anything
            reason = " ".join(str(error).split())
            raise NetworkError(
                f"{path}: onnxruntime cannot read it ({reason}); give an exported .onnx or .safetensors file"
            ) from None
        if len(self._session.get_inputs()) != 1:
            raise NetworkError(f"{path}: has {len(self._session.get_inputs())} inputs; give a model of one image input")
        self.about: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images [N, C, H, W] -> outputs."""
        name = self._session.get_inputs()[0].name
        return torch.from_numpy(self._session.run(None, {name: images.contiguous().numpy()})[0])


def read_exported(path: str | Path, engine: str = "auto") -> tuple[nn.Module, NetworkCard]:
    """The network in an exported file, and the card that is written into it.

    Args:
        path: an ONNX file, or a safetensors file that `rlcompress export` wrote.
        engine: what executes a safetensors file's network; ONNX files go to onnxruntime.

    Raises:
        NetworkError: the file cannot be read, or was not written by rlcompress.
    """
    if not Path(path).is_file():
        raise NetworkError(f"{path}: there is no such file; give one that `rlcompress export` wrote")
    if Path(path).suffix in ENDINGS["torch"]:
        raise NetworkError(f"{path}: programs of torch.export are not scored here; export it as .onnx or .safetensors")
    if Path(path).suffix == ".safetensors":
        recording, about = tensors.read(path)
        card = _card(about, path)
        replayed = tensors.replay(recording, path, engine)
        _check_runs(replayed, card, path)
        return replayed, card
    network = OnnxNetwork(path)
    try:
        about = {key: parse_json(network.about[key]) for key in ("network", "preprocessing")}
    except (KeyError, LimitError):
        raise NetworkError(
            f"{path}: says nothing about its input; give a file that `rlcompress export` wrote"
        ) from None
    card = _card(about, path)
    _check_runs(network, card, path)
    return network, card


def _check_runs(network: nn.Module, card: NetworkCard, path: str | Path) -> None:
    """Try one image, so that what does not fit together shows before the data is read."""
    try:
        with torch.no_grad():
            network(torch.zeros(1, *card.input_shape))
    except Exception as error:  # a damaged recording can go wrong in any step
        said = " ".join(str(error).split())[:160]
        raise NetworkError(f"{path}: the exported network does not run ({said}); export it anew") from None


def _card(about: dict[str, Any], path: str | Path) -> NetworkCard:
    try:
        head = _About.model_validate(about)
    except ValidationError:
        raise NetworkError(f"{path}: its metadata is damaged; export it anew") from None
    network, images = head.network, head.preprocessing
    return NetworkCard(
        name=network.name,
        factory="",
        input_shape=images.input_shape,
        mean=images.mean,
        std=images.std,
        classes=network.classes,
        description=f"exported to {Path(path).name}",
        source=network.source,
        metric=network.metric or "agreement",
    )
