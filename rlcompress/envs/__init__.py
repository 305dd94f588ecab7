"""The Gymnasium environment ``rlcompress/Compression-v0`` and its wrappers.

>>> import gymnasium
>>> import rlcompress.envs
>>> "rlcompress/Compression-v0" in gymnasium.registry
True
"""

import gymnasium

from rlcompress.envs.compression_env import CompressionEnv
from rlcompress.envs.problem import TARGETS, BudgetSpent, Outcome, Problem, policy_id
from rlcompress.envs.wrappers import FlattenAction, ResidualAction
from rlcompress.registration import ENV_ID, register

if ENV_ID not in gymnasium.registry:
    register()

__all__ = [
    "ENV_ID",
    "TARGETS",
    "BudgetSpent",
    "CompressionEnv",
    "FlattenAction",
    "Outcome",
    "Problem",
    "ResidualAction",
    "policy_id",
]
