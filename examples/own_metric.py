"""Judge networks by a metric of your own: one value an image, here the probability of the right class.

python examples/own_metric.py
"""

import sys

from torch import Tensor

import rlcompress as rlc
from rlcompress.data import load_data
from rlcompress.evaluation import Metric
from rlcompress.network.builtin.digits_training import train_digits_cnn
from rlcompress.network.cards import get_card


def confidence(outputs: Tensor, targets: Tensor) -> Tensor:
    """Percent of probability that goes to the right class: outputs [N, classes], targets [N] -> [N]."""
    return 100.0 * outputs.softmax(1).gather(1, targets[:, None])[:, 0]


def main(evaluations: int = 40) -> None:
    """Search with the metric: what may be lost is in its unit."""
    card, data = get_card("digits_cnn"), load_data("digits")
    training = data.calibration  # so that the search's images are new to the network
    network = train_digits_cnn(training.normalized(slice(None), card.mean, card.std), training.labels, seed=0)

    metric = Metric("confidence", "points", confidence, "confidence")
    run = rlc.search(network, data, mean=card.mean, std=card.std, metric=metric, max_drop=3.0, evaluations=evaluations)
    print(f"{run.metric.label}: {run.baseline.metric_test:.2f} before, {run.best.figures.metric_test:.2f} after")
    print(f"{run.best.energy_saved_pct:.1f} % of the energy saved")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
