"""Compress a network of your own: any module that torch.fx can trace, with arrays as data.

python examples/own_network.py
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

import rlcompress as rlc


def trained_network(images: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    """A small CNN, trained for a few seconds; your pretrained network goes here."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 4 * 4, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    return network.eval()


def main(evaluations: int = 40) -> None:
    """Train, search, and show what was found."""
    digits = load_digits()
    images = torch.tensor(digits.images / 16.0, dtype=torch.float32)[:, None]  # [N, C, H, W], 0 to 1
    labels = torch.tensor(digits.target)
    train, test = (images[:1400], labels[:1400]), (images[1400:], labels[1400:])

    network = trained_network(train[0][:600], train[1][:600])
    run = rlc.search(network, (train, test), mean=(0.0,), std=(1.0,), max_drop=2.0, evaluations=evaluations)

    for layer, choice in run.policy:
        print(layer, choice.granularity, choice.keep_ratio, choice.weight_bits, choice.activation_bits)
    print(f"{run.best.energy_saved_pct:.1f} % of the energy saved, {run.best.drop_test:.2f} points lost on test images")
    run.policy.save("policy.json")
    small = run.compressed()  # an nn.Module
    print(tuple(small(test[0][:2]).shape))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
