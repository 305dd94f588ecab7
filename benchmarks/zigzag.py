"""ZigZag (Mei et al., IEEE TC 2021) timed on layers of ours, where the package zigzag-dse is installed."""

import importlib.util
import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from rlcompress.hw_models import load
from rlcompress.spec import LayerChoice, LayerSpec

RECORDED_S = 3.5
"""Seconds a layer of ZigZag 3.9 at its quickest, on two shared cores (docs/hardware.md)."""


def compare(layers: list[LayerSpec]) -> str:
    """Our seconds a new shape beside ZigZag's on the same convolutions, both models' median, in one sentence."""
    model = load("edgetpu_like")
    ours = statistics.median(
        _seconds(lambda spec=spec: model.cost((spec,), {spec.name: LayerChoice()})) for spec in layers
    )
    if importlib.util.find_spec("zigzag") is None:
        ratio = f"{RECORDED_S / ours:,.0f} times faster than the {RECORDED_S} s recorded for ZigZag 3.9"
        return f"a new shape is {ratio}; zigzag-dse is not installed here"
    theirs = statistics.median(_seconds(lambda spec=spec: _run_zigzag(spec)) for spec in layers)
    ratio = f"{theirs / ours:,.0f} times faster than ZigZag"
    return f"a new shape is {ratio}: {ours:.2g} s against {theirs:.2g} s a layer, on {len(layers)} layers"


def _run_zigzag(spec: LayerSpec) -> None:
    import zigzag
    from zigzag.api import get_hardware_performance_zigzag

    logging.disable(logging.INFO)
    inputs = Path(zigzag.__file__).parent / "inputs"
    accelerator, mapping = (str(inputs / kind / "edge_tpu_like.yaml") for kind in ("hardware", "mapping"))
    with tempfile.TemporaryDirectory() as folder:
        get_hardware_performance_zigzag(
            [_workload(spec)], accelerator, mapping, dump_folder=folder, loma_show_progress_bar=False
        )


def _workload(spec: LayerSpec) -> dict[str, Any]:
    """A convolution in ZigZag's words, 8 bits."""
    return {
        "id": 0,
        "name": spec.name,
        "operator_type": "Conv",
        "equation": "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]",
        "dimension_relations": [f"ix={spec.stride}*ox+1*fx", f"iy={spec.stride}*oy+1*fy"],
        "loop_dims": ["B", "G", "K", "C", "OY", "OX", "FY", "FX"],
        "loop_sizes": [
            1, 1, spec.out_channels, spec.in_channels, spec.out_height, spec.out_width, spec.kernel_height,
            spec.kernel_width,
        ],
        "operand_precision": {"W": 8, "I": 8, "O": 16, "O_final": 8},
        "operand_source": {"I": 0, "W": 0},
    }  # fmt: skip


def _seconds(run: Any) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
