import os
import pickle
from dataclasses import dataclass

import pytest
import torch

import rlcompress.candidates.store
from rlcompress.candidates import Candidates
from rlcompress.candidates.store import BankStore
from rlcompress.errors import RlcompressWarning, RunError
from rlcompress.network.trace import trace
from rlcompress.planning import ChoiceSpace, SensitivityRow, kept_sensitivity
from rlcompress.spec import LayerChoice
from rlcompress.workers import WorkerPool
from tests.small_networks import InvertedResidual, images

SHAPE = (3, 8, 8)
X = images(24, *SHAPE)
CHOICE = LayerChoice(granularity="element", keep_ratio=0.5, weight_bits=4, activation_bits=4)


def bank_of(cache, *, shift=None, calibration=X, round_to=1, **options):
    model = InvertedResidual()
    if shift is not None:
        model.classifier.weight.data[0, 0] += shift
    network = trace(model, torch.zeros(1, *SHAPE)).with_round_to(round_to)
    return Candidates(network, calibration, cache=cache, **options)


def files_of(cache):
    return sorted((cache / "rlcompress-bank").glob("*.safetensors"))


def weights_of(bank):
    choices = dict.fromkeys(bank.network.layers, CHOICE)
    choices |= dict.fromkeys(["expand.0", "depthwise.0"], LayerChoice(granularity="filter", keep_ratio=0.5))
    weights = {name: bank.weights(name, choices) for name in choices}
    return {f"{name} {part}": getattr(w, part) for name, w in weights.items() for part in ("codes", "scale")}, choices


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def never(*_arguments):
    raise AssertionError("computed again")


@pytest.mark.parametrize("criterion", ["obs", "taylor"])
def test_a_second_bank_reads_the_same_bits_and_computes_nothing(criterion, tmp_path, monkeypatch):
    plain, choices = weights_of(bank_of(None, criterion=criterion))
    first = bank_of(tmp_path, criterion=criterion)
    assert same(weights_of(first)[0], plain)
    gradual = sum(choice.granularity == "element" for choice in choices.values())
    assert len(files_of(tmp_path)) == 3 + (criterion == "taylor") + 2 * len(choices) + gradual
    for name in ("_input_moments", "loss_gradients", "stored_samples", "retuned_ranges", "stages_of", "compress"):
        monkeypatch.setattr(f"rlcompress.candidates.bank.{name}", never)
    second = bank_of(tmp_path, criterion=criterion)
    assert same(weights_of(second)[0], plain)
    assert same(weights_of(pickle.loads(pickle.dumps(second)))[0], plain)
    with torch.no_grad():
        assert torch.equal(first.stitch(choices)(X), second.stitch(choices)(X))


@pytest.mark.parametrize(
    ("changes", "shared"),
    [
        ({"shift": 1e-7}, False),
        ({"calibration": torch.cat([X[:23], X[23:] + 1e-6])}, False),
        ({"criterion": "l1"}, False),
        ({"round_to": 2}, False),
        ({"hessian_images": 8}, False),
        ({"repair": "none"}, False),
        ({"repair": "t2"}, True),  # which changes final networks alone
    ],
    ids=["a weight", "an image", "criterion", "round_to", "images", "no repair", "tier"],
)
def test_whatever_results_depend_on_keeps_them_apart(changes, shared, tmp_path):
    weights_of(bank_of(tmp_path))
    before = len(files_of(tmp_path))
    changed = bank_of(tmp_path, **changes)
    assert same(weights_of(changed)[0], weights_of(bank_of(None, **changes))[0])
    assert (len(files_of(tmp_path)) == before) == shared


def flipped(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    "damage",
    [flipped, lambda content: content[: len(content) // 2], lambda _: b"", lambda _: b"no tensors at all" * 9],
    ids=["a bit", "half a file", "an empty file", "another file"],
)
def test_damaged_files_are_warned_of_and_computed_again(damage, tmp_path):
    plain, _ = weights_of(bank_of(tmp_path))
    files = files_of(tmp_path)
    for path in files:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(RlcompressWarning, match=r"cannot use what was kept \(.*\); it is computed again") as caught:
        assert same(weights_of(bank_of(tmp_path))[0], plain)
    assert len(caught) == len(files)
    assert same(weights_of(bank_of(tmp_path))[0], plain)  # they have been mended


def test_a_file_under_anothers_name_is_not_taken(tmp_path):
    plain, _ = weights_of(bank_of(tmp_path))
    first, *others = files_of(tmp_path)
    for other in others:
        other.write_bytes(first.read_bytes())
    with pytest.warns(RlcompressWarning, match="its content is not what was written"):
        assert same(weights_of(bank_of(tmp_path))[0], plain)


def test_what_was_not_used_for_longest_goes_first_and_nothing_else(tmp_path):
    other = tmp_path / "mine.safetensors"
    other.write_text("mine")
    store = BankStore(tmp_path, "f", most_bytes=3000)
    for i, key in enumerate("abcd"):
        store.tensors([key], lambda i=i: {"x": torch.full((200,), float(i))})
        for age, path in enumerate(sorted(files_of(tmp_path), key=os.path.getmtime)):
            os.utime(path, (1000 + age, 1000 + age))
        if key == "b":
            store.tensors(["a"], never)  # used again, so that b goes before it
    assert sum(path.stat().st_size for path in files_of(tmp_path)) <= 3000 + 1000
    assert store.tensors(["d"], never)["x"][0] == 3.0
    assert store.tensors(["a"], never)["x"][0] == 0.0
    assert store.tensors(["b"], lambda: {"x": torch.zeros(1)})["x"].numel() == 1
    assert other.read_text() == "mine"
    store.tensors(["too large"], lambda: {"x": torch.zeros(1000)})
    assert store.tensors(["too large"], lambda: {"x": torch.ones(1)})["x"] == 1


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"^cannot keep results in .*file \(.*\); give another --cache$"):
        bank_of(tmp_path / "file")


def test_a_full_disk_is_warned_of_and_does_no_harm(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rlcompress.candidates.store.write_safetensors", full)
    with pytest.warns(RlcompressWarning, match=r"cannot keep results \(No space left on device\); make room or leave"):
        assert BankStore(tmp_path, "f").tensors(["a"], lambda: {"x": torch.ones(3)})["x"].sum() == 3


def test_a_file_that_another_run_deletes_while_it_is_read_leaves_nothing_behind(tmp_path, monkeypatch):
    store = BankStore(tmp_path, "f")
    store.tensors(["a"], lambda: {"x": torch.ones(3)})
    read = rlcompress.candidates.store.read_safetensors

    def read_and_lose(path, most):
        content = read(path, most)
        path.unlink()
        return content

    monkeypatch.setattr("rlcompress.candidates.store.read_safetensors", read_and_lose)
    assert store.tensors(["a"], never)["x"].sum() == 3
    assert files_of(tmp_path) == []


@dataclass
class Asking:
    """Asks a small store for many results, of which it can keep half."""

    store: BankStore

    def __call__(self, seed):
        generator = torch.Generator().manual_seed(seed)
        keys = torch.randint(0, 30, (100,), generator=generator).tolist()
        return all(
            bool((self.store.tensors([key], lambda key=key: {"x": torch.full((1000,), key)})["x"] == key).all())
            for key in keys
        )


@pytest.mark.slow
def test_several_processes_share_a_folder(tmp_path):
    with WorkerPool(Asking(BankStore(tmp_path, "f", most_bytes=120_000)), 2) as pool:
        assert list(pool.map([1, 2, 3, 4])) == [True] * 4
    assert sum(path.stat().st_size for path in files_of(tmp_path)) <= 130_000


def test_sensitivity_tables_are_kept_to_the_last_bit(tmp_path):
    rows = [SensitivityRow("a", "weight_bits", 2.0, 0.1 + 0.2, 1e-300), SensitivityRow("b", "n:m", 0.5, 1 / 3, 5e-324)]
    bank = bank_of(tmp_path)
    space = ChoiceSpace(bank.network.structure)
    four = images(4, *SHAPE)
    assert kept_sensitivity(bank, space, four, 10**8, lambda: rows) == rows
    assert kept_sensitivity(bank_of(tmp_path), space, four, 10**8, never) == rows
    assert (
        kept_sensitivity(bank, ChoiceSpace(space.structure, granularities=["element"]), four, 10**8, lambda: rows[:1])
        == rows[:1]
    )
    assert kept_sensitivity(bank, space, images(5, *SHAPE), 10**8, lambda: rows[:1]) == rows[:1]
    assert kept_sensitivity(bank_of(None), space, four, 10**8, lambda: rows[1:]) == rows[1:]
