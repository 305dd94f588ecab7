import pytest
import torch as th
from gymnasium import spaces

from rlcompress.agents.rainbow import Rainbow, RainbowComponents, RainbowPolicy
from rlcompress.agents.rainbow.network import NoisyLinear
from rlcompress.errors import AgentError

OBSERVATIONS = th.linspace(-1, 1, 12).reshape(4, 3)


def network(**changes):
    th.manual_seed(0)
    spaces_ = (spaces.Box(-1, 1, (3,)), spaces.Discrete(2))
    components = RainbowComponents(n_atoms=11, v_min=-1, v_max=1, **changes)
    return RainbowPolicy(*spaces_, lambda _: 1e-3, [8, 6], components=components).q_net


@pytest.mark.parametrize("dueling", [True, False])
@pytest.mark.parametrize("noisy", [True, False])
@pytest.mark.parametrize("distributional", [True, False])
def test_shapes_and_ranges(dueling, noisy, distributional):
    net = network(dueling=dueling, noisy=noisy, distributional=distributional)
    assert net(OBSERVATIONS).shape == (4, 2)
    outputs = net.outputs(OBSERVATIONS)
    assert outputs.shape == (4, 2, 11 if distributional else 1)
    assert len(net._noisy_layers()) == (0 if not noisy else 4 if dueling else 2)
    if distributional:
        assert th.allclose(outputs.exp().sum(2), th.ones(4, 2), atol=1e-5)
        assert net(OBSERVATIONS).abs().max() <= 1


def test_dueling_centres_the_advantage():
    net = network(distributional=False, noisy=False)
    hidden = net.body(OBSERVATIONS)
    assert th.allclose(net(OBSERVATIONS).mean(1), net.value(hidden)[:, 0, 0], atol=1e-6)


def test_noise_changes_the_values_until_it_is_taken_away():
    net = network()
    still = net(OBSERVATIONS)
    net.sample_noise()
    first = net(OBSERVATIONS)
    net.sample_noise()
    assert not th.allclose(still, first)
    assert not th.allclose(first, net(OBSERVATIONS))
    net.zero_noise()
    assert th.equal(still, net(OBSERVATIONS))


def test_noise_has_the_mean_weights_as_mean():
    th.manual_seed(0)
    layer = NoisyLinear(3, 2, sigma=0.5)
    features = th.ones(1, 3)
    still = layer(features).detach()
    outputs = []
    for _ in range(3000):
        layer.sample_noise()
        outputs.append(layer(features).detach())
    assert th.allclose(th.cat(outputs).mean(0), still[0], atol=0.05)


def test_a_deterministic_prediction_has_no_noise():
    net = network(sigma=1.0)
    predictions = {tuple(net._predict(OBSERVATIONS, deterministic=True).tolist()) for _ in range(5)}
    assert len(predictions) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"multi_step": 0}, "multi_step"), ({"v_min": 2.0}, "v_min"), ({"alpha": 2.0}, "alpha")],
)
def test_wrong_constants_are_refused(changes, words):
    with pytest.raises(AgentError, match=words):
        RainbowComponents(**({"v_max": 1.0} | changes))


def test_a_network_without_hidden_layers_is_refused():
    with pytest.raises(AgentError, match=r"net_arch: .* give at least one width"):
        Rainbow("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": []})
