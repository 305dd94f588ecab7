"""Compressed networks as files that others run: safetensors, ONNX, torch.export programs."""

from rlcompress.export.exporting import FORMATS, check_wish, export
from rlcompress.export.refusals import refusals
from rlcompress.export.tensors import load

__all__ = ["FORMATS", "check_wish", "export", "load", "refusals"]
