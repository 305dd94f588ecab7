"""A problem that costs milliseconds: a real accelerator model and a real sensitivity table, but a simulated truth.

The true logit error is the proxy's, with every cause scaled by a factor that nobody is told, and with an interaction
of neighbouring layers, so that it does not add up; scores have the noise of as many images as a real search uses.
"""

import hashlib
import json
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from rlcompress import hw_models
from rlcompress.candidates import Candidates
from rlcompress.data import load_data
from rlcompress.envs import TARGETS, Problem, ProblemSettings, policy_id
from rlcompress.evaluation import Evaluator, Score
from rlcompress.network.pretrained import pretrained
from rlcompress.planning import ChoiceSpace, Planner, Proxy, SensitivityRow, measure_sensitivity
from rlcompress.spec import ChoiceBatch
from rlcompress.threads import one_thread

GRANULARITIES = ("none", "element", "n:m", "block", "filter")
CAUSE_STD = 0.4  # of the logarithm of a cause's hidden factor
INTERACTION_STD = 0.3  # of a neighbouring pair's, in units of the root of the product of their errors
SLOPE, POWER, AT = 60.0, 1.1, 0.02  # points of drop: SLOPE * AT * (error / AT) ** POWER


@one_thread()
def measure(network: str, weights: str, data: str, path: Path) -> None:
    """Measure a network's sensitivity table and write it with what else a simulated problem needs."""
    traced, card = pretrained(network, weights)
    splits = load_data(data)
    calibration = splits.calibration.normalized(slice(None), card.mean, card.std)
    bank = Candidates(traced, calibration)
    evaluator = Evaluator(traced.graph, splits.search.part(slice(0, 1000)), card)
    space = ChoiceSpace(traced.structure, granularities=GRANULARITIES)
    rows = measure_sensitivity(bank, space, calibration[-128:])
    document = {
        "network": network,
        "weights": weights,
        "densities": bank.densities,
        "scale": evaluator.error_scale,
        "rows": [asdict(row) for row in rows],
    }
    path.write_text(json.dumps(document))


@dataclass(eq=False)
class Simulated(Problem):
    """A problem whose scores are drawn from a hidden truth."""

    truth: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        generator, layers = np.random.default_rng(self.truth), len(self.space.layers)
        self._factors = np.exp(generator.normal(0.0, CAUSE_STD, 3 * layers))
        self._pairs = generator.normal(0.0, INTERACTION_STD, layers - 1)

    def true_error(self, policy: ChoiceBatch) -> float:
        """Relative logit error of a batch of one."""
        causes = self.planner.proxy.by_factor(policy)[0] * self._factors / self.evaluator.error_scale
        by_layer = causes.reshape(3, -1).sum(0)
        return float(causes.sum() + self._pairs @ np.sqrt(by_layer[1:] * by_layer[:-1]))

    def true_drop(self, policy: ChoiceBatch) -> float:
        """Points lost."""
        return float(min(90.0, SLOPE * AT * (max(self.true_error(policy), 0.0) / AT) ** POWER))

    def scored(self, policy: ChoiceBatch, images: int, salt: int = 0) -> Score:
        """A score on so many images; the same policy always gets the same."""
        digest = hashlib.sha256(f"{policy_id(policy)} {self.truth} {salt}".encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        drop = self.true_drop(policy)
        lost = generator.binomial(images, min(1.0, 1.1 * drop / 100.0))  # some images are won, a tenth as many
        won = generator.binomial(images, min(1.0, 0.1 * drop / 100.0))
        error = max(self.true_error(policy), 1e-9) * self.evaluator.error_scale * np.exp(generator.normal(0.0, 0.03))
        spread = 100.0 * float(np.sqrt(max(lost + won, 1))) / images
        return Score(
            100.0 - drop,
            100.0 * (lost - won) / images,
            spread,
            99.0,
            float(error),
            images,
            kl=float(error / self.evaluator.error_scale),
        )

    def _scores(self, policies: Sequence[ChoiceBatch]) -> Generator[Score, None, None]:
        for policy in policies:
            yield self.scored(policy, self.settings.score_images)


def simulated(path: Path, hardware: str, truth: int, **settings: Any) -> Simulated:
    """A problem from a file that `measure` wrote."""
    document = json.loads(path.read_text())
    network, _ = pretrained(document["network"], document["weights"])
    network = network.with_densities(document["densities"])
    chosen = ProblemSettings(**settings)
    space = ChoiceSpace(network.structure, granularities=chosen.granularities)
    causes = {*chosen.granularities, "weight_bits", "activation_bits"}
    rows = [SensitivityRow(**row) for row in document["rows"] if row["factor"] in causes]
    model = hw_models.load(hardware)
    planner = Planner(
        space,
        Proxy(rows, space),
        lambda batch: np.log(TARGETS[chosen.target](model, network.structure, batch)),
        document["scale"],
    )
    evaluator: Any = SimpleNamespace(error_scale=document["scale"])
    bank: Any = None
    return Simulated(network, model, bank, evaluator, space, planner, chosen, rows, truth=truth)
