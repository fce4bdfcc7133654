"""The oldest images, counted by hand."""

import numpy as np
import pytest

from remibench.selections import Images, forget_set


@pytest.mark.parametrize(("newest", "expected"), [(False, [0, 1]), (True, [4, 5])])
def test_the_first_of_every_class_are_forgotten(newest, expected):
    images = Images(
        labels=np.array([0, 1, 0, 1, 0, 1]),
        positions=np.array([3, 4, 10, 12, 20, 21]),
        class_names=["cat", "dog"],
        dataset="pets",
        split_seed=0,
    )
    assert forget_set("oldest", images, 1 / 3, {"newest": newest}).tolist() == expected
