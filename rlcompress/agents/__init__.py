"""Stable-Baselines3 agents for hybrid actions. They see only Gymnasium spaces."""

from rlcompress.agents.actions import decode, encode
from rlcompress.agents.composite import CompositeAgent
from rlcompress.agents.imitation import Cloning, CloningResult, Transitions
from rlcompress.agents.policy import CompositePolicy
from rlcompress.agents.rainbow import Rainbow, RainbowComponents
from rlcompress.agents.settings import CompositeSettings
from rlcompress.agents.storage import check_agent_file, load_agent, save_agent

__all__ = [
    "Cloning",
    "CloningResult",
    "CompositeAgent",
    "CompositePolicy",
    "CompositeSettings",
    "Rainbow",
    "RainbowComponents",
    "Transitions",
    "check_agent_file",
    "decode",
    "encode",
    "load_agent",
    "save_agent",
]
