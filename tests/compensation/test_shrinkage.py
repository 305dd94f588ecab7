import pytest
import torch

from rlcompress.compensation import shrunk

INPUTS = 40


def samples(count, seed=0):
    """Correlated inputs with means, as behind a ReLU; one of them is always zero."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(INPUTS, INPUTS, generator=torch.Generator().manual_seed(9)) / INPUTS**0.5
    x = (torch.randn(count, INPUTS, generator=generator) @ mixing + 0.3).relu()
    x[:, 3] = 0.0
    return x


def moments(x):
    return (x.T @ x / len(x))[None], x.mean(0)[None]


def covariance(hessian, mean):
    return hessian - mean[:, :, None] * mean[:, None]


def test_few_samples_come_nearer_to_the_covariance_of_many():
    many = covariance(*moments(samples(100_000)))
    for seed in range(5):
        hessian, mean = moments(samples(INPUTS // 2, seed))
        few, drawn = covariance(hessian, mean), covariance(shrunk(hessian, mean, INPUTS // 2), mean)
        assert float((drawn - many).norm()) < 0.9 * float((few - many).norm())


def test_means_and_variances_stay_and_singular_moments_become_regular():
    x = samples(12)
    hessian, mean = moments(x)
    drawn = shrunk(hessian, mean, len(x))
    torch.testing.assert_close(drawn.diagonal(dim1=1, dim2=2), hessian.diagonal(dim1=1, dim2=2))
    assert torch.equal(drawn, drawn.mT)
    assert torch.linalg.matrix_rank(hessian)[0] <= len(x)
    assert not drawn[0, 3].any()
    living = torch.arange(INPUTS) != 3
    assert torch.linalg.matrix_rank(drawn[0][living][:, living]) == INPUTS - 1


def test_enough_samples_are_taken_as_they_are():
    hessian, mean = moments(samples(2 * INPUTS))
    assert shrunk(hessian, mean, 2 * INPUTS) is hessian


@pytest.mark.parametrize("x", [torch.zeros(1, 8), torch.ones(3, 8), torch.randn(1, 1)], ids=["none", "constant", "one"])
def test_inputs_that_do_not_vary_leave_nothing_to_shrink(x):
    hessian, mean = moments(x)
    drawn = shrunk(hessian, mean, 1)
    torch.testing.assert_close(drawn, hessian)


def test_groups_are_shrunk_each_by_itself():
    first, second = samples(12), samples(12, seed=1)
    pairs = [moments(x) for x in (first, second)]
    together = shrunk(torch.cat([h for h, _ in pairs]), torch.cat([m for _, m in pairs]), 12)
    for i, (hessian, mean) in enumerate(pairs):
        torch.testing.assert_close(together[i], shrunk(hessian, mean, 12)[0])
