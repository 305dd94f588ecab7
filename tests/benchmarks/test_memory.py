import torch

from benchmarks.memory import peak_bytes, rounded
from rlcompress.candidates.layer import DenseLayer, Pruning, compress


def test_rounded_codes_take_what_swept_ones_take() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(*shape, generator=generator) for shape in ((6, 4, 3, 3), (200, 36)))
    layer = DenseLayer(weight, (x.T @ x)[None] / 200)
    outputs, inputs = torch.arange(6) != 2, torch.arange(4) != 1
    arguments = (layer, outputs, inputs, Pruning("element", 0.5, "obs"), (2, 8, 16))
    swept, quick, same = compress(*arguments), rounded(*arguments, deepest=37), rounded(*arguments, deepest=36)
    for bits in (2, 8, 16):
        assert quick[bits].codes.shape == swept[bits].codes.shape
        assert quick[bits].codes.dtype == swept[bits].codes.dtype
        assert torch.equal(same[bits].codes, swept[bits].codes)
        assert not quick[bits].codes[2].any()
        assert not quick[bits].codes[:, 1].any()


def test_the_peak_is_read() -> None:
    assert peak_bytes() > 50_000_000
