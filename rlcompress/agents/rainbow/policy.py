"""`RainbowPolicy`: Rainbow's network and its target network."""

from typing import Any

from stable_baselines3.dqn.policies import DQNPolicy

from rlcompress.agents.rainbow.components import RainbowComponents
from rlcompress.agents.rainbow.network import RainbowNetwork


class RainbowPolicy(DQNPolicy):
    """SB3's DQN policy on `RainbowNetwork`.

    Args:
        args: as SB3's ``DQNPolicy``.
        components: which of Rainbow's parts are on.
        kwargs: as SB3's ``DQNPolicy``.
    """

    q_net: RainbowNetwork  # type: ignore[assignment]  # has SB3's QNetwork's interface without being one
    q_net_target: RainbowNetwork  # type: ignore[assignment]

    def __init__(self, *args: Any, components: RainbowComponents, **kwargs: Any) -> None:
        self.components = components  # the parent's constructor builds the networks
        super().__init__(*args, **kwargs)

    def make_q_net(self) -> RainbowNetwork:  # type: ignore[override]
        """A new network with a features extractor of its own."""
        arguments = self._update_features_extractor(self.net_args, features_extractor=None)
        return RainbowNetwork(**arguments, components=self.components).to(self.device)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), "components": self.components}
