"""Rainbow (Hessel et al. 2018) as a Stable-Baselines3 algorithm."""

from rlcompress.agents.rainbow.components import RainbowComponents
from rlcompress.agents.rainbow.policy import RainbowPolicy
from rlcompress.agents.rainbow.rainbow import Rainbow
from rlcompress.agents.rainbow.replay import PrioritizedReplayBuffer, PrioritizedSamples

__all__ = ["PrioritizedReplayBuffer", "PrioritizedSamples", "Rainbow", "RainbowComponents", "RainbowPolicy"]
