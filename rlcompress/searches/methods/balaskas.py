"""The published recipe of a composite agent, as a baseline."""

from rlcompress.agents import CompositeAgent, CompositeSettings, RainbowComponents
from rlcompress.envs import CompressionEnv, FlattenAction, Problem
from rlcompress.envs.episodes import Pruner
from rlcompress.searches.methods.base import transitions_within
from rlcompress.searches.methods.stock import learn
from rlcompress.searches.settings import SearchSettings
from rlcompress.searches.watch import Watch

PRUNERS: tuple[Pruner, ...] = (
    ("none", "default"),
    ("element", "l1"),
    ("channel", "l1"),
    ("channel", "l2"),
    ("channel", "reconstruction"),
    ("filter", "l1"),
    ("filter", "l2"),
    ("filter", "bernoulli"),
)
"""No pruning and seven algorithms of Distiller (Zmora et al. 2019, arXiv:1910.12232) that need no training."""

_WARM_UP = 0.25  # share of the episodes that is drawn at random
_AGENT = CompositeSettings(
    continuous="ddpg",
    discrete="rainbow",
    rainbow=RainbowComponents(v_min=-5.0, v_max=3.0),
    knobs_per_index=False,
    gamma=1.0,
    noise_std=0.2,
    exploration_initial_eps=0.0,
    exploration_final_eps=0.0,
)


def balaskas2023(problem: Problem, settings: SearchSettings, watch: Watch) -> None:
    """DDPG sets keep ratio and bits, Rainbow the pruning algorithm, from scratch and on real evaluations alone.

    After Balaskas et al., "Hardware-aware DNN compression via diverse pruning and mixed-precision quantization", IEEE
    TETC 2023 (arXiv:2312.15322): layer by layer, Rainbow seeing the actor's features, the reward made of energy and
    accuracy at the end of an episode, nothing repaired or retrained. `SearchSettings` gives this method candidates
    without repair. What differs: the publication's accelerator and baseline are unknown, so that energies are this
    package's; its list of algorithms could not be checked, so the seven are our reading; the observation and the
    reward's formula are those of `CompressionEnv` (unshaped); scales and activation ranges are of least error where
    the publication tells of none; one evaluation is one episode as there.
    """
    env = FlattenAction(
        CompressionEnv(
            problem,
            max_drop=settings.candidate_goals[0],
            planned=False,
            shaping=False,
            source="balaskas2023",
            pruners=PRUNERS,
        )
    )
    room = transitions_within(problem.memory.replay, env.observation_space, env.action_space)
    warm_up = int(_WARM_UP * (settings.evaluations or 0)) * len(problem.space.layers)
    agent = CompositeAgent(
        "MlpPolicy",
        env,
        len(PRUNERS),
        _AGENT,
        seed=settings.seed,
        device="cpu",
        learning_starts=max(warm_up, 64),
        buffer_size=min(_AGENT.buffer_size, room),
    )
    with watch.over(agent):
        learn(agent, problem, settings, watch)
