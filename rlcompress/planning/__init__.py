"""What may be chosen, what a choice is predicted to cost in accuracy, and the planner over both."""

from rlcompress.planning.kept import kept_sensitivity
from rlcompress.planning.knapsack import Knapsack
from rlcompress.planning.planner import Planner
from rlcompress.planning.proxy import Proxy
from rlcompress.planning.sensitivity import SensitivityRow, covers, measure_sensitivity
from rlcompress.planning.space import ChoiceSpace
from rlcompress.planning.surrogate import Surrogate

__all__ = [
    "ChoiceSpace",
    "Knapsack",
    "Planner",
    "Proxy",
    "SensitivityRow",
    "Surrogate",
    "covers",
    "kept_sensitivity",
    "measure_sensitivity",
]
