"""A small network for scikit-learn's handwritten digits, trained in seconds."""

from torch import Tensor, nn
from torch.nn import functional

from rlcompress.network.builtin.cifar_resnet import BasicBlock


class DigitsCNN(nn.Module):
    """Three 3x3 convolutions with a residual block after the first; 29 thousand parameters.

    Args:
        classes: size of the output [N, classes].
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.block = BasicBlock(16, 16)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(64)
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images [N, 1, 8, 8] to logits [N, classes]."""
        x = self.block(functional.relu(self.bn1(self.conv1(x))))
        x = functional.relu(self.bn2(self.conv2(x)))
        x = functional.relu(self.bn3(self.conv3(x)))
        logits: Tensor = self.linear(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits
