"""The Gymnasium environment ``rlcompress/Compression-v0`` and its wrappers.

>>> import gymnasium
>>> import rlcompress.envs
>>> "rlcompress/Compression-v0" in gymnasium.registry
True
"""

import gymnasium

from rlcompress.envs.compression_env import CompressionEnv
from rlcompress.envs.episodes import Actions, Episodes
from rlcompress.envs.flat_actions import Absolute, FlatActions, Residual
from rlcompress.envs.outcome import BudgetSpent, Outcome, policy_id
from rlcompress.envs.problem import Problem
from rlcompress.envs.settings import TARGETS, ProblemSettings
from rlcompress.envs.wrappers import FlattenAction, ResidualAction

ENV_ID = "rlcompress/Compression-v0"
if ENV_ID not in gymnasium.registry:
    gymnasium.register(
        id=ENV_ID,
        entry_point="rlcompress.envs.compression_env:CompressionEnv",
        nondeterministic=True,  # predictions learn from evaluations
    )

__all__ = [
    "ENV_ID",
    "TARGETS",
    "Absolute",
    "Actions",
    "BudgetSpent",
    "CompressionEnv",
    "Episodes",
    "FlatActions",
    "FlattenAction",
    "Outcome",
    "Problem",
    "ProblemSettings",
    "Residual",
    "ResidualAction",
    "policy_id",
]
