"""What may be chosen, what a choice is predicted to cost in accuracy, and the planner over both."""

from rlcompress.planning.planner import Planner
from rlcompress.planning.proxy import Proxy
from rlcompress.planning.sensitivity import SensitivityRow, measure_sensitivity
from rlcompress.planning.space import ChoiceSpace

__all__ = ["ChoiceSpace", "Planner", "Proxy", "SensitivityRow", "measure_sensitivity"]
