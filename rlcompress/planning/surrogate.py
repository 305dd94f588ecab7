"""`Surrogate`: the proxy, corrected by what has really been measured."""

import numpy as np
from numpy.typing import NDArray

from rlcompress.planning.proxy import Proxy
from rlcompress.spec import ChoiceBatch

Floats = NDArray[np.float64]

_PRIOR_STD = 0.3  # of the logarithm of a cause's own factor
_KIND_STD = 0.4  # of the factor that causes of one kind share
_COMMON_STD = 1.0  # of the factor that all share
_POWER_STD = 0.3  # of the exponent's deviation from 1
_NOISE_STD = 0.1  # of the logarithm of a measured error
_MILD_ERROR = 0.1  # relative; measurements far beyond it say less about mild policies
_ITERATIONS = 3
_PRIOR_WEIGHT = 0.1  # of the first slope, in evaluations
_KERNEL_WIDTH = 0.3  # of the error's logarithm
_TINY = 1e-9


class Surrogate:
    """Predicts the error and the drop of policies from the sensitivity table and the evaluations so far.

    ln(error) = a + (1 + b) ln(sum over causes of exp(f_i) e_i) with the proxy's e_i; the parameters a, b and f_i have
    Gaussian priors around 0, those of f_i with a part that causes of one kind share. They are fitted to the logarithms
    of measured errors by Bayesian linear regression, relinearised at the fit (Gauss-Newton). The drop is the error
    times a slope: the ratio of measured drops to measured errors, those of similar error counting most (a Gaussian
    kernel on the error's logarithm).

    Args:
        proxy: of the network.
        variance: of the dense network's logits, which makes errors relative.
        slope: drop a unit of error until something is measured.
        corrects: whether the error is fitted; otherwise it is the proxy's and only the drop's slope is.
    """

    def __init__(self, proxy: Proxy, variance: float, slope: float, *, corrects: bool = True) -> None:
        self._proxy, self._variance, self._slope, self._corrects = proxy, variance, slope, corrects
        self._causes: list[Floats] = []
        self._errors: list[float] = []
        self._drops: Floats = np.zeros(0)
        self._covariance: Floats = _prior(len(proxy.weight))
        self._precision = np.linalg.inv(self._covariance)
        self._mean = np.zeros(len(self._covariance))
        self._fitted = 0

    def learn(self, policy: ChoiceBatch, error: float, drops: Floats) -> None:
        """Take in an evaluation of a batch of one.

        Args:
            policy: what was evaluated.
            error: measured, of a kind that grows with the drop.
            drops: in points, of this evaluation and of all before it, as they are seen now.
        """
        causes = self._proxy.by_factor(policy)[0] / self._variance
        measured = error if self._corrects else float(causes.sum())
        self._causes.append(causes)
        self._errors.append(max(measured, _TINY))
        self._drops = np.maximum(0.0, drops)

    def error(self, batch: ChoiceBatch, parameters: Floats | None = None) -> Floats:
        """Predicted error of the kind that is measured: [B]; with ``parameters``, by those of `sampled`."""
        self._fit()
        causes = self._proxy.by_factor(batch) / self._variance
        return np.exp(_log_error(causes, self._mean if parameters is None else parameters))

    def drop(self, batch: ChoiceBatch, parameters: Floats | None = None) -> Floats:
        """Predicted drop in points: [B]."""
        return self.drop_at(self.error(batch, parameters))

    def drop_at(self, error: Floats) -> Floats:
        """Drop in points that policies of a relative logit error [B] are predicted to have: [B]."""
        known, drops = np.array(self._errors), self._drops
        distance = np.log((error[:, None] + _TINY) / (known + _TINY)) / _KERNEL_WIDTH
        weight = np.exp(-0.5 * np.square(distance)) / (known + _TINY)
        prior = _PRIOR_WEIGHT / (error + _TINY)
        total = (weight * drops).sum(axis=1) + prior * self._slope * error
        return np.asarray(error * total / ((weight * known).sum(axis=1) + prior * error))

    def error_at(self, drop: float) -> float:
        """The largest relative logit error whose predicted drop is at most ``drop`` points."""
        grid = np.geomspace(1e-4, 10.0, 400)
        beyond = np.flatnonzero(self.drop_at(grid) > drop)
        return float(grid[max(0, beyond[0] - 1)] if len(beyond) else grid[-1])

    def spread(self, batch: ChoiceBatch) -> Floats:
        """Standard deviation of the logarithm of the predicted error, measuring included: [B]."""
        self._fit()
        gradient = _gradient(self._proxy.by_factor(batch) / self._variance, self._mean)
        return np.sqrt(np.einsum("bi,ij,bj->b", gradient, self._covariance, gradient) + _NOISE_STD**2)

    def sampled(self, generator: np.random.Generator) -> Floats:
        """Parameters drawn from their posterior, for `error` (Thompson, Biometrika 1933)."""
        self._fit()
        factor = np.linalg.cholesky(self._covariance + 1e-10 * np.eye(len(self._mean)))
        return np.asarray(self._mean + factor @ generator.standard_normal(len(self._mean)))

    def _fit(self) -> None:
        if not self._corrects or self._fitted == len(self._errors):
            return
        causes, target = np.array(self._causes), np.log(self._errors)
        precision = 1.0 / np.square(_NOISE_STD * (1.0 + np.exp(target) / _MILD_ERROR))
        for _ in range(_ITERATIONS):
            gradient = _gradient(causes, self._mean)
            residual = target - _log_error(causes, self._mean) + gradient @ self._mean
            weighted = gradient.T * precision
            self._covariance = np.asarray(np.linalg.inv(self._precision + weighted @ gradient), np.float64)
            self._mean = self._covariance @ weighted @ residual
        self._fitted = len(self._errors)


def _prior(layers: int) -> Floats:
    """Covariance of the parameters."""
    own = np.diag(np.array([*[_PRIOR_STD] * (3 * layers), _COMMON_STD, _POWER_STD]) ** 2)
    own[: 3 * layers, : 3 * layers] += np.kron(np.eye(3), np.full((layers, layers), _KIND_STD**2))
    return own


def _log_error(causes: Floats, parameters: Floats) -> Floats:
    total = np.log(causes @ np.exp(parameters[:-2]) + _TINY)
    return np.asarray(parameters[-2] + (1.0 + parameters[-1]) * total)


def _gradient(causes: Floats, parameters: Floats) -> Floats:
    """[B, parameters] of `_log_error`."""
    parts = causes * np.exp(parameters[:-2])
    total = parts.sum(axis=1, keepdims=True) + _TINY
    ones = np.ones_like(total)
    return np.concatenate([(1.0 + parameters[-1]) * parts / total, ones, np.log(total)], axis=1)
