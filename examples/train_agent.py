"""Train an agent on one network and let it start on another: what it has learned does not depend on the network's size.

python examples/train_agent.py
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

import rlcompress as rlc


def trained_network(width: int, images: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    """A small CNN, trained for a moment; your pretrained networks go here."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32 * width, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    return network.eval()


def main(evaluations: int = 20) -> None:
    """The first search trains the agent and leaves it in its run folder; the second starts from it."""
    digits = load_digits()
    images = torch.tensor(digits.images / 16.0, dtype=torch.float32)[:, None]  # [N, C, H, W], 0 to 1
    labels = torch.tensor(digits.target)
    train = images[:1400], labels[:1400]
    tests = (images[1400:1600], labels[1400:1600]), (images[1600:], labels[1600:])  # each search has its own
    asked = {"mean": (0.0,), "std": (1.0,), "max_drop": 2.0, "evaluations": evaluations}

    rlc.search(trained_network(8, images[:600], labels[:600]), (train, tests[0]), **asked, out="small/run")
    second = trained_network(16, images[:600], labels[:600])
    run = rlc.search(second, (train, tests[1]), **asked, agent_from="small/run/agent.safetensors", out="large/run")
    print(f"{run.best.energy_saved_pct:.1f} % of the energy saved, {run.best.drop_test:.2f} points lost on test images")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
