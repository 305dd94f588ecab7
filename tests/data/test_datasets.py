import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset, SubsetRandomSampler, TensorDataset

from rlcompress.data import DataSplits, ImageSet, as_splits, load_data
from rlcompress.errors import DataError

BYTES = torch.arange(8 * 3 * 2 * 2).remainder(256).to(torch.uint8).view(8, 3, 2, 2)
LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])


class Pictures(Dataset):
    """Pillow images with class numbers, as torchvision's data sets give them without transforms."""

    classes = ("a", "b", "c", "d", "e")

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return Image.fromarray(BYTES[i].permute(1, 2, 0).numpy()), int(LABELS[i])


def everything(splits: DataSplits) -> ImageSet:
    """Training images in their first order."""
    parts = (splits.calibration, splits.search)
    images, labels = torch.cat([p.images for p in parts]), torch.cat([p.labels for p in parts])
    order = images[:, 0, 0, 0].argsort()
    return ImageSet(images[order], labels[order])


@pytest.mark.parametrize(
    "training",
    [
        ImageSet(BYTES, LABELS),
        (BYTES, LABELS),
        (BYTES.numpy(), LABELS.numpy().astype(np.int32)),
        (BYTES.float() / 255, LABELS),
        TensorDataset(BYTES, LABELS),
        TensorDataset(BYTES.float() / 255, LABELS),
        DataLoader(TensorDataset(BYTES, LABELS), batch_size=3, shuffle=True),
        list(zip(BYTES, LABELS.tolist(), strict=True)),
        Pictures(),
    ],
    ids=["image set", "tensors", "arrays", "floats", "dataset", "float dataset", "loader", "list", "pictures"],
)
def test_every_form_gives_the_same_bytes(training):
    splits = as_splits((training, training))
    assert (len(splits.calibration), len(splits.search)) == (2, 6)
    assert torch.equal(everything(splits).images, BYTES)
    assert torch.equal(everything(splits).labels, LABELS)
    assert torch.equal(splits.load_test().images, BYTES)
    assert splits.classes == (5 if isinstance(training, Pictures) else 4)


@pytest.mark.parametrize("form", ["subset", "subset of a subset", "loader over a subset", "sampler"])
def test_what_a_part_leaves_out_is_not_looked_at(form):
    whole, kept, left = Pictures(), [0, 2, 3, 5, 6], [1, 4, 7]
    make = {
        "subset": lambda part: Subset(whole, part),
        "subset of a subset": lambda part: Subset(Subset(whole, part[::-1]), range(len(part))),
        "loader over a subset": lambda part: DataLoader(Subset(whole, part), batch_size=2, shuffle=True),
        "sampler": lambda part: DataLoader(whole, sampler=SubsetRandomSampler(part)),
    }[form]
    splits = as_splits((make(kept), Subset(whole, left)))
    assert torch.equal(everything(splits).images, BYTES[kept])
    assert torch.equal(splits.load_test().images, BYTES[left])
    assert splits.classes == 5


@pytest.mark.parametrize(
    ("loader", "drawing"),
    [
        (DataLoader(Pictures(), sampler=RandomSampler(Pictures(), num_samples=4)), "RandomSampler"),
        (DataLoader(Pictures(), sampler=RandomSampler(Pictures(), replacement=True)), "RandomSampler"),
        (DataLoader(Pictures(), batch_sampler=[[0, 1], [2]]), "list"),
    ],
)
def test_a_loader_that_may_leave_items_out_is_refused(loader, drawing):
    with pytest.raises(DataError, match=f"a loader that draws by {drawing} may leave items out; give the data set or"):
        as_splits((loader, Pictures()))


def test_splits_stay_as_they_are():
    splits = as_splits((ImageSet(BYTES, LABELS),) * 2)
    assert as_splits(splits) is splits


def test_images_alone_have_no_classes():
    splits = as_splits((BYTES, BYTES))
    assert splits.classes is None
    assert splits.search.targets is None


def test_floats_that_are_no_bytes_stay_floats():
    images = torch.linspace(0, 1, 24).view(2, 3, 2, 2)
    splits = as_splits(((images, LABELS[:2]), (images, LABELS[:2])))
    assert splits.load_test().images.dtype == torch.float32
    assert torch.allclose(splits.load_test().images, images * 255)


def test_maps_as_targets():
    maps = torch.rand(8, 1, 2, 2)
    splits = as_splits((TensorDataset(BYTES, maps), (BYTES, maps)))
    assert splits.classes is None
    assert torch.equal(splits.load_test().targets, maps)


@pytest.mark.parametrize("targets", [torch.linspace(-1, 1, 8), torch.linspace(0, 3, 8).double(), LABELS.float()])
def test_floats_are_amounts(targets):
    for training in ((BYTES, targets), TensorDataset(BYTES, targets)):
        splits = as_splits((training, training))
        assert splits.classes is None
        assert torch.equal(splits.load_test().targets, targets.float())


def test_scaled_images_and_statistics_give_the_network_what_it_got():
    raw, mean, std = torch.linspace(-3.2, 4.9, 24).view(2, 3, 2, 2), 0.7, 1.3
    with pytest.raises(DataError, match=r"give \(images \+ 4\) / 9, with \(mean \+ 4\) / 9 as mean and std / 9 as std"):
        as_splits(((raw, LABELS[:2]), (raw, LABELS[:2])))
    part = ((raw + 4) / 9, LABELS[:2])
    images = as_splits((part, part)).load_test().normalized(slice(None), [(mean + 4) / 9] * 3, [std / 9] * 3)
    torch.testing.assert_close(images, (raw - mean) / std, atol=1e-5, rtol=1e-5)


def test_the_test_images_wait():
    class Untouched(Pictures):
        def __getitem__(self, i):
            raise AssertionError

    assert len(as_splits((Pictures(), Untouched())).search) == 6


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (
            (BYTES.float() / 63 - 1, LABELS),
            r"images must be bytes, or floats from 0 to 1, but go from -1 to 0.5079; give \(images \+ 1\) / 2, with "
            r"\(mean \+ 1\) / 2 as mean and std / 2 as std$",
        ),
        ((BYTES.float(), LABELS), "go from 0 to 95; give images / 95, with mean / 95 as mean and std / 95 as std$"),
        (
            (BYTES.float() + 2.5, LABELS),
            r"go from 2.5 to 97.5; give \(images - 2\) / 96, with \(mean - 2\) / 96 as mean",
        ),
        (
            (BYTES.float().where(BYTES < 95, torch.nan), LABELS),
            "images hold NaN or infinity; give finite values from 0",
        ),
        ((BYTES.float().where(BYTES < 95, torch.inf), LABELS), "images hold NaN or infinity"),
        ([(image.float() - 9, 0) for image in BYTES], "go from -9 to 2; give"),
        ((BYTES.int(), LABELS), "got torch.int32; give 0 to 255 as uint8, others scaled to 0 to 1"),
        ((BYTES, LABELS[:7]), "differ in number"),
        ((BYTES, LABELS.cfloat()), "targets must be real, got torch.complex64"),
        ((BYTES, LABELS - 5), "class numbers begin at 0, got -5; number the classes from 0"),
        ((BYTES, np.full(8, "cat")), "images and targets must be numbers, got <U3; number the classes from 0"),
        ([(BYTES[0], "cat")] * 8, "images and targets must be numbers, got str"),
        (TensorDataset(BYTES), r"not a pair \(image, target\)"),
        ([(BYTES[0, :, :, : 1 + i % 2], 0) for i in range(8)], "differ in shape"),
        (iter([]), "list_iterator is no data set|tuple_iterator is no data set"),
        ([], "holds no image"),
        ((BYTES[0], LABELS[:3]), "images must be uint8"),
    ],
)
def test_errors(training, message):
    with pytest.raises(DataError, match=message) as caught:
        as_splits((training, (BYTES, LABELS)), "mine")
    assert len(str(caught.value).splitlines()) == 1


def test_something_else_than_a_pair():
    with pytest.raises(DataError, match="mine: give training and test data as a pair, not Tensor"):
        as_splits(BYTES, "mine")
    with pytest.raises(DataError, match="as a pair, not 3 parts"):
        as_splits((BYTES, BYTES, BYTES), "mine")


def test_a_function_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "data_of_a_test.py").write_text(
        "import numpy as np\n"
        "def both():\n"
        "    images, labels = np.zeros((8, 1, 4, 4), np.uint8), np.arange(8) % 2\n"
        "    return (images, labels), (images[:3], labels[:3])\n"
        "def broken():\n"
        "    raise KeyError('nothing')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    splits = load_data("data_of_a_test:both")
    assert (splits.classes, len(splits.load_test()), splits.name) == (2, 3, "data_of_a_test:both")
    with pytest.raises(DataError, match="the function failed"):
        load_data("data_of_a_test:broken")
    with pytest.raises(DataError, match="has no 'absent'"):
        load_data("data_of_a_test:absent")
