"""Images of users by role: one content in all the forms that it may have."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

from remibench.data.in_memory import Data
from remibench.errors import RemibenchError


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (10, 3, 8, 6), generator=generator).to(torch.uint8)


LABELS = torch.arange(10) % 3


class Pairs(Dataset):
    def __init__(self, images, labels=LABELS):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index], int(self.labels[index])


class Augmented(Pairs):
    def __getitem__(self, index):
        return torch.rand(3, 8, 6), 0


def forms(images):
    last = images.permute(0, 2, 3, 1).numpy()
    return {
        "tensors": (images, LABELS),
        "arrays": (images.numpy(), LABELS.numpy()),
        "lists": [images.numpy(), LABELS.tolist()],
        "channels last": (last, LABELS.numpy().astype(np.uint8)),
        "TensorDataset": TensorDataset(images, LABELS),
        "Dataset": Pairs(images),
        "pictures": Pairs([Image.fromarray(each) for each in last]),
        "Subset": torch.utils.data.Subset(Pairs(images), range(10)),
    }


@pytest.mark.parametrize("form", forms(torch.zeros(10, 3, 8, 6, dtype=torch.uint8)))
def test_every_form_gives_the_same_images(form, images):
    data = Data(forms(images)[form], (images, LABELS))
    found, labels = data.role("target_train")
    assert torch.equal(found, images)
    assert found.dtype == torch.uint8
    assert torch.equal(labels, LABELS)
    assert labels.dtype == torch.int64


def test_floating_point_images_are_single_precision_and_grey_ones_have_a_channel(images):
    grey = images[:, 0].double() / 255
    found, _ = Data((grey, LABELS), (grey, LABELS)).role("target_train")
    assert found.dtype == torch.float32
    assert torch.equal(found, grey[:, None].float())


def test_test_images_are_divided_once_for_all(images):
    data = Data((images, LABELS), (images, LABELS), out_of_sample_fraction=0.3)
    assert len(data.roles["out_of_sample"]) == 3
    both = np.concatenate([data.roles["out_of_sample"], data.roles["test"]])
    assert sorted(both) == list(range(10, 20))
    again = Data((images, LABELS), (images, LABELS), out_of_sample_fraction=0.3)
    other = Data((images, LABELS), (images, LABELS), out_of_sample_fraction=0.3, seed=1)
    assert (data.roles["test"] == again.roles["test"]).all()
    assert (data.roles["test"] != other.roles["test"]).any()
    found, _ = data.role("test")
    assert torch.equal(found, images[data.roles["test"] - 10])


def test_a_forget_set_has_many_forms(images):
    data = Data((images, LABELS), (images, LABELS))
    mask = np.isin(range(10), [7, 2, 5])
    for forget in ([7, 2, 5], (5, 7, 2), np.array([2, 5, 7], np.uint8), torch.tensor([7, 5, 2])):
        assert data.forget_set(forget).tolist() == [2, 5, 7]
    assert data.forget_set(mask).tolist() == [2, 5, 7]
    assert data.forget_set(torch.from_numpy(mask)).tolist() == [2, 5, 7]
    assert data.forget_set(range(2, 4)).dtype == np.int64


def nothing(images):
    return {"test": (images[:0], LABELS[:0])}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda i: {"train": (i, LABELS, LABELS)}, "`train` has 3 elements"),
        (lambda i: {"train": (i, LABELS[:9])}, "`train` has 10 images and 9 labels"),
        (nothing, "`test` has 0 images"),
        (lambda i: {"train": (i, LABELS.float())}, "labels of `train` are torch.float32"),
        (lambda i: {"train": (i, LABELS[:, None])}, r"of shape \(10, 1\)"),
        (lambda i: {"train": (i.int(), LABELS)}, "`train` are torch.int32; give uint8 or float"),
        (lambda i: {"train": (i / 0.0, LABELS)}, "an image of `train` is not finite"),
        (lambda i: {"test": (i.float(), LABELS)}, "prepare all of them alike"),
        (lambda i: {"test": (i[..., :5], LABELS)}, "prepare all of them alike"),
        (lambda _: {"train": Augmented(LABELS)}, "without random augmentation"),
        (lambda _: {"train": 3}, "`train` is a int"),
        (lambda _: {"train": ("a", "b")}, "no pair"),
        (lambda i: {"train": Pairs([*i[:9], i[9, :, :4]])}, "differ in shape"),
        (lambda i: {"shadow_train": (i, LABELS)}, "give both or neither"),
        (lambda _: {"out_of_sample_fraction": 0.99}, "leaves an empty role"),
    ],
)
def test_bad_images_are_one_line(changes, message, images):
    arguments = {"train": (images, LABELS), "test": (images, LABELS)} | changes(images)
    with pytest.raises(RemibenchError, match=message):
        Data(**arguments)


def test_a_role_without_images_says_how_to_give_them(images):
    data = Data((images, LABELS), (images, LABELS))
    with pytest.raises(RemibenchError, match="give `shadow_train` and `shadow_test`"):
        data.role("shadow_train")
