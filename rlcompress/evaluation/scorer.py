"""`Scorer`: from choices to a score."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import fx

from rlcompress.candidates import Candidates
from rlcompress.evaluation.evaluator import Evaluator
from rlcompress.evaluation.score import Score
from rlcompress.integer import IntegerNetwork, lower
from rlcompress.spec import LayerChoice

Choices = Mapping[str, LayerChoice]
"""Layer name -> choice."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores policies; goes to worker processes as it is.

    Attributes:
        bank: where compressed networks come from.
        evaluator: of some images.
        engine: what executes compressed networks, see `rlcompress.integer.ENGINES`.
    """

    bank: Candidates
    evaluator: Evaluator
    engine: str

    def network(self, choices: Choices) -> IntegerNetwork:
        """The network that a policy is scored by."""
        return lower(self.bank.stitch(choices), engine=self.engine)

    def __call__(self, choices: Choices) -> Score:
        """The score of that network."""
        return self.evaluator.score(self.network(choices))


@dataclass(frozen=True, slots=True)
class FinalScorer:
    """Finishes policies that are kept, and scores them.

    Attributes:
        bank: where compressed networks come from.
        evaluators: of several sets of images.
        engine: what executes compressed networks.
    """

    bank: Candidates
    evaluators: tuple[Evaluator, ...]
    engine: str

    def __call__(self, choices: Choices) -> tuple[fx.GraphModule, list[Score]]:
        """The finished network, to be lowered, and its score on each set of images."""
        graph = self.bank.final(choices)
        network = lower(graph, engine=self.engine)
        return graph, [evaluator.score(network) for evaluator in self.evaluators]
