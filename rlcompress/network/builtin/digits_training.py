"""Training of `DigitsCNN`, so that a demonstration needs no weights file."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlcompress.network.builtin.digits import DigitsCNN
from rlcompress.threads import one_thread

_EPOCHS = 12
_BATCH = 64
_PEAK_LEARNING_RATE = 0.01


def train_digits_cnn(images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """Train a `DigitsCNN` from scratch in a few seconds; equal arguments give equal weights on one machine.

    Adam with weight decay under a one-cycle learning rate, 12 epochs of batches of 64. The global random state is
    left as it was.

    Args:
        images: float32 [N, 1, 8, 8], normalised as the card of ``digits_cnn`` says.
        labels: int64 [N], 0 to 9.
        seed: of the initial weights and of the order of the images.

    Returns:
        The network in evaluation mode.
    """
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), one_thread():
        torch.manual_seed(seed)
        model = DigitsCNN()
        _fit(model.train(), images, labels)
    return model.eval().requires_grad_(False)


def _fit(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    steps = _EPOCHS * -(-len(images) // _BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_LEARNING_RATE, total_steps=steps)
    for _ in range(_EPOCHS):
        for batch in torch.split(torch.randperm(len(images)), _BATCH):
            optimizer.zero_grad()
            torch.autograd.backward(functional.cross_entropy(model(images[batch]), labels[batch]))
            optimizer.step()
            schedule.step()
