import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcompress.pruning import Reader, removal_order
from rlcompress.pruning.statistics import DAMPING


def reader(seed, outputs, channels, window, classes=None):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(200, channels * window, generator=generator)
    inputs = inputs @ torch.randn(channels * window, channels * window, generator=generator)
    weight = torch.randn(outputs, channels * window, generator=generator)
    return Reader(weight, inputs.T @ inputs / 200, classes or list(range(channels)))


def error_without(reader, classes):
    """Squared output error of the best weights that do not see some classes, relative to the outputs' power."""
    window = reader.weight.shape[1] // len(reader.classes)
    gone = torch.isin(torch.tensor(reader.classes), torch.tensor(classes)).repeat_interleave(window)
    hessian, weight = reader.hessian.double(), reader.weight.double()
    power = ((weight @ hessian) * weight).sum()
    hessian = hessian + DAMPING * hessian.diagonal().mean() * torch.eye(len(hessian))
    cross = hessian[gone][:, ~gone]
    left = hessian[gone][:, gone] - cross @ torch.linalg.solve(hessian[~gone][:, ~gone], cross.T)
    return float(((weight[:, gone] @ left) * weight[:, gone]).sum() / power)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), window=st.sampled_from([1, 4]))
def test_every_removal_is_the_one_that_adds_least_error(seed, window):
    readers = [reader(seed, 7, 6, window), reader(seed + 1, 3, 6, window)]
    order = removal_order(readers, range(6))
    for i, c in enumerate(order[:-1]):
        errors = {o: sum(error_without(of, [*order[:i], o]) for of in readers) for o in order[i:]}
        assert errors[c] <= min(errors.values()) * (1 + 1e-4)


def test_channels_that_repeat_others_go_before_weak_ones_that_nothing_replaces():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(500, 4, generator=generator)
    inputs[:, 3] = 2.0 * inputs[:, 0]
    inputs[:, 1] *= 0.5
    order = removal_order([Reader(torch.ones(5, 4), inputs.T @ inputs / 500, [0, 1, 2, 3])], range(4))
    assert order[0] in (0, 3)
    assert order[1] == 1


def test_only_the_classes_that_are_asked_for_go_and_all_channels_of_a_class_with_them():
    assert sorted(removal_order([reader(0, 4, 6, 2, [5, 1, 5, 2, 3, 2])], {1, 2, 5})) == [1, 2, 5]
    doubled = reader(1, 4, 4, 1, [0, 0, 1, 2])
    only = Reader(doubled.weight * torch.tensor([0.0, 0.0, 1.0, 1.0]), doubled.hessian, doubled.classes)
    assert removal_order([only], range(3))[0] == 0


def test_many_channels_go_several_at_once():
    order = removal_order([reader(2, 4, 300, 1)], range(300))
    assert sorted(order) == list(range(300))


def test_a_reader_that_sees_nothing_has_no_say():
    dead = Reader(torch.ones(3, 4), torch.zeros(4, 4), [3, 2, 1, 0])
    alive = reader(3, 5, 4, 1)
    assert removal_order([alive, dead], range(4)) == removal_order([alive], range(4))
