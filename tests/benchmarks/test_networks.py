"""The small ones among the benchmark's architectures."""

import pytest

pytest.importorskip("onnxruntime", reason="the export extra is not installed")

from benchmarks.architectures import ARCHITECTURES
from benchmarks.networks.__main__ import _row


def test_there_are_enough_of_them():
    assert len(ARCHITECTURES) >= 20


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar_resnet20", "mlperf_tiny_resnet8", "ds_cnn", "autoencoder", "shufflenet_v2"])
def test_masked_thinned_reloaded_and_onnxruntime_agree(name):
    assert _row(name, seed=1)[-3:] == ("equal", "equal", "equal")
