"""Rainbow's network: dueling streams, noisy layers, a distribution of returns; each part can be off."""

import itertools
import math
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import nn

from rlcompress.agents.rainbow.components import RainbowComponents
from rlcompress.errors import AgentError


class NoisyLinear(nn.Module):
    """Linear layer with factorised Gaussian noise (Fortunato et al. 2018, equations 10 and 11).

    Without `sample_noise`, and after `zero_noise`, it computes with the means.

    Args:
        inputs: input width p.
        outputs: output width.
        sigma: the noise scales start at ``sigma / sqrt(p)``.
    """

    noise_in: th.Tensor
    noise_out: th.Tensor

    def __init__(self, inputs: int, outputs: int, sigma: float) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(th.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(th.empty(outputs).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(th.full((outputs, inputs), sigma * bound))
        self.bias_sigma = nn.Parameter(th.full((outputs,), sigma * bound))
        self.register_buffer("noise_in", th.zeros(inputs), persistent=False)
        self.register_buffer("noise_out", th.zeros(outputs), persistent=False)

    def sample_noise(self) -> None:
        """Draw new noise ``f(x) = sign(x) sqrt(|x|)`` of standard Gaussians for inputs and outputs."""
        for noise in (self.noise_in, self.noise_out):
            drawn = th.randn_like(noise)
            noise.copy_(drawn.sign() * drawn.abs().sqrt())

    def zero_noise(self) -> None:
        """Compute with the means from now on."""
        self.noise_in.zero_()
        self.noise_out.zero_()

    def forward(self, features: th.Tensor) -> th.Tensor:
        """[B, inputs] to [B, outputs]."""
        weight = self.weight + self.weight_sigma * th.outer(self.noise_out, self.noise_in)
        return nn.functional.linear(features, weight, self.bias + self.bias_sigma * self.noise_out)


class RainbowNetwork(BasePolicy):
    """Q-network of Rainbow (Hessel et al. 2018, section 3).

    All but the last hidden layer are shared; each stream has a hidden layer of the last width and an output layer,
    which are noisy if ``components.noisy``.

    Args:
        observation_space: of the environment.
        action_space: of the environment.
        features_extractor: flattens or convolves the observation.
        features_dim: its output width.
        net_arch: hidden widths, at least one.
        activation_fn: activation between the layers.
        normalize_images: divide images by 255.
        components: which parts are on.

    Raises:
        AgentError: there is no hidden layer.
    """

    action_space: spaces.Discrete
    support: th.Tensor

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Discrete,
        *,
        features_extractor: BaseFeaturesExtractor,
        features_dim: int,
        net_arch: list[int],
        activation_fn: type[nn.Module],
        normalize_images: bool,
        components: RainbowComponents,
    ) -> None:
        if not net_arch:
            raise AgentError("net_arch: Rainbow's streams need a hidden layer; give at least one width, such as [64]")
        super().__init__(
            observation_space, action_space, features_extractor=features_extractor, normalize_images=normalize_images
        )
        self.components = components
        self.n_atoms = components.n_atoms if components.distributional else 1
        widths = [features_dim, *net_arch]
        layers = [[nn.Linear(p, q), activation_fn()] for p, q in itertools.pairwise(widths[:-1])]
        self.body = nn.Sequential(*(module for layer in layers for module in layer))
        self.advantage = self._stream(widths[-2:], int(action_space.n), activation_fn)
        self.value = self._stream(widths[-2:], 1, activation_fn) if components.dueling else None
        self.register_buffer("support", th.linspace(components.v_min, components.v_max, components.n_atoms))

    def _stream(self, widths: list[int], outputs: int, activation_fn: type[nn.Module]) -> nn.Sequential:
        hidden, output = self._linear(*widths), self._linear(widths[1], outputs * self.n_atoms)
        return nn.Sequential(hidden, activation_fn(), output, nn.Unflatten(1, (outputs, self.n_atoms)))

    def _linear(self, inputs: int, outputs: int) -> nn.Module:
        if self.components.noisy:
            return NoisyLinear(inputs, outputs, self.components.sigma)
        return nn.Linear(inputs, outputs)

    def outputs(self, observations: PyTorchObs) -> th.Tensor:
        """[B, actions, atoms]: log-probabilities of the returns in ``support``, or with one atom the Q-values.

        Dueling adds value and centred advantage (Wang et al. 2016, equation 9; per atom in Rainbow, section 3).
        """
        hidden = self.body(self.extract_features(observations, self.features_extractor))
        output: th.Tensor = self.advantage(hidden)
        if self.value is not None:
            output = self.value(hidden) + output - output.mean(dim=1, keepdim=True)
        return output.log_softmax(dim=2) if self.components.distributional else output

    def forward(self, observations: PyTorchObs) -> th.Tensor:
        """Q-values [B, actions]."""
        output = self.outputs(observations)
        return th.matmul(output.exp(), self.support) if self.components.distributional else output[..., 0]

    def _predict(self, observation: PyTorchObs, deterministic: bool = True) -> th.Tensor:
        if deterministic:
            self.zero_noise()
        else:
            self.sample_noise()
        return self.forward(observation).argmax(dim=1)

    def sample_noise(self) -> None:
        """Draw new noise in all noisy layers; one draw serves a whole batch."""
        for layer in self._noisy_layers():
            layer.sample_noise()

    def zero_noise(self) -> None:
        """Compute with the means from now on."""
        for layer in self._noisy_layers():
            layer.zero_noise()

    def _noisy_layers(self) -> list[NoisyLinear]:
        return [module for module in self.modules() if isinstance(module, NoisyLinear)]
