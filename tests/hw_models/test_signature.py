import numpy as np
import pytest

from rlcompress import hw_models
from rlcompress.hw_models.signature import codes_of, policy_keys
from rlcompress.network.spec_cards import built_in_specs
from rlcompress.spec import GRANULARITIES, ChoiceBatch, NetworkStructure, applies


def policies(network: NetworkStructure, granularity: str, ratios: list[float], count: int) -> ChoiceBatch:
    """Policies whose layers differ in their keep ratios alone."""
    layers = {spec.name: spec for spec in network.specs}
    fit = [i for i, name in enumerate(network.layers) if applies(granularity, layers[name])]
    shape, generator = (count, len(network.layers)), np.random.default_rng(0)
    keep, pruned = np.ones(shape), np.zeros(shape, np.int64)
    keep[:, fit], pruned[:, fit] = generator.choice(ratios, (count, len(fit))), GRANULARITIES.index(granularity)
    return ChoiceBatch(pruned, keep, np.full(shape, 8), np.full(shape, 8))


@pytest.mark.parametrize("ratios", [[0.25, 0.5], [0.2, 0.4, 0.8], [0.3, 0.6]])
def test_different_policies_have_different_keys(ratios: list[float]) -> None:
    batch = policies(NetworkStructure(built_in_specs("cifar_resnet20")), "element", ratios, 20_000)
    distinct = len(np.unique(batch.keep_ratio, axis=0))
    assert distinct > 19_000
    assert len(np.unique(policy_keys(codes_of(batch)))) == distinct


@pytest.mark.parametrize(
    ("hardware", "network", "granularity", "ratios"),
    [
        ("scalable_sparse_16x32", "cifar_resnet20", "filter", [0.2, 0.4, 0.8]),
        ("sparse_skip", "cifar_resnet20", "element", [0.3, 0.6]),
        ("edgetpu_like", "cifar_resnet20", "filter", [0.25, 0.5]),
        ("cortex_m7", "mlperf_tiny_resnet8", "filter", [0.25, 0.5, 0.75]),
    ],
)
def test_what_is_remembered_is_what_a_policy_costs(
    hardware: str, network: str, granularity: str, ratios: list[float]
) -> None:
    structure = NetworkStructure(built_in_specs(network))
    batch = policies(structure, granularity, ratios, 150)
    expected = [
        hw_models.load(hardware).cost(structure.specs, batch.choices(i, structure.layers)).energy_uj
        for i in range(batch.shape[0])
    ]
    together, model = hw_models.load(hardware).costs(structure, batch).energy_uj, hw_models.load(hardware)
    alone = [float(model.costs(structure, batch.rows(slice(i, i + 1))).energy_uj[0]) for i in range(batch.shape[0])]
    assert together == pytest.approx(expected, rel=1e-9)
    assert alone == pytest.approx(expected, rel=1e-9)
