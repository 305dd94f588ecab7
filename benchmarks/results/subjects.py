"""The networks of the results table, with their weights, images, goals and evaluations."""

from dataclasses import dataclass
from pathlib import Path

from rlcompress.sweeps import Subject


@dataclass(frozen=True)
class Tested:
    """A network of the table.

    Attributes:
        name: as the table calls it.
        network: as rlcompress calls it.
        weights: file name of its weights, without suffix.
        images: name of the data set.
        data: as rlcompress takes it, with a place for the folder.
        goals: allowed drops; one search serves them all, and its own policy is that of the first.
        evaluations: of a search.
    """

    name: str
    network: str
    weights: str
    images: str
    data: str
    goals: tuple[float, ...] = (1.0, 0.5, 1.7)
    evaluations: int = 200

    def subject(self, weights: Path, data: Path) -> Subject:
        """What a search compresses, from the folders of weights and images."""
        file = weights / f"{self.weights}.safetensors"
        return Subject(network=self.network, weights=str(file), data=self.data.replace("{}", str(data)))


def _cifar10(network: str, weights: str) -> Tested:
    return Tested(network, network, f"cifar10_{weights}", "cifar10", "cifar10:{}?search=moved")


def _cifar100(network: str, weights: str) -> Tested:
    return Tested(f"{network}_100", network, f"cifar100_{weights}", "cifar100", "cifar100:{}?search=moved")


def _imagenet(network: str, weights: str, size: int, crop: str) -> Tested:
    data = f"imagefolder:{{}}/imagenet?size={size}&crop={crop}&search=moved"
    return Tested(network, network, f"imagenet_{weights}", "val1300", data, evaluations=100)


NETWORKS = {
    tested.name: tested
    for tested in (
        _cifar10("cifar_resnet20", "resnet20_akamaster"),
        _cifar10("cifar_resnet56", "resnet56_akamaster"),
        *(_cifar10(f"cifar_resnet{depth}_stem64", f"resnet{depth}_stem64_karanchahal") for depth in (8, 20, 32)),
        *(_cifar100(f"cifar_resnet{depth}_stem64", f"resnet{depth}_stem64_karanchahal") for depth in (8, 20, 32)),
        _cifar10("mlperf_tiny_resnet8", "resnet8_mlperftiny"),
        _imagenet("mobilenet_v1_0.25", "mobilenet_v1_0.25_128", 128, "1"),
        _imagenet("mobilenet_v1_0.75", "mobilenet_v1_0.75_192", 192, "1"),
        _imagenet("mobilenet_v2", "mobilenet_v2_1.0_224", 224, "center"),
        Tested("vdsr", "vdsr", "sr_vdsr", "set5 x2", "set5:{}?scale=2&train={}/imagenet/train", (0.2, 0.1)),
    )
}
"""Name in the table -> network."""
