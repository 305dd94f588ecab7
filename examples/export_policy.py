"""Search, export the compressed network to ONNX, and see that onnxruntime gives the same answers.

python examples/export_policy.py
"""

import sys

import torch
from onnxruntime import InferenceSession
from sklearn.datasets import load_digits
from torch import nn

import rlcompress as rlc


def main(evaluations: int = 20) -> None:
    """A network is trained for a moment, searched, exported and run again."""
    digits = load_digits()
    images = torch.tensor(digits.images / 16.0, dtype=torch.float32)[:, None]  # [N, C, H, W], 0 to 1
    labels = torch.tensor(digits.target)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 24, 3), nn.ReLU(), nn.Conv2d(24, 24, 3), nn.ReLU(), nn.Flatten(), nn.Linear(384, 10)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network((images[:600] - 0.3) / 0.38), labels[:600]).backward()
        optimizer.step()

    data = (images[:1400], labels[:1400]), (images[1400:], labels[1400:])
    run = rlc.search(network.eval(), data, mean=(0.3,), std=(0.38,), max_drop=2.0, evaluations=evaluations)
    run.export("small.onnx")

    normalised = (images[1400:] - 0.3) / 0.38
    session = InferenceSession("small.onnx")
    (there,) = session.run(None, {session.get_inputs()[0].name: normalised.numpy()})
    here = run.compressed()(normalised)
    same = bool((here.numpy() == there).all())
    print(f"{run.best.energy_saved_pct:.1f} % of the energy saved; the same outputs: {same}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
