"""The digits dataset."""

import numpy as np
import pytest

from remibench.data import LoadOptions, digits, load_dataset
from remibench.errors import RemibenchError


def test_digits_are_what_they_say():
    raw = load_dataset("digits", LoadOptions([]))
    assert raw.images.shape == (digits.INFO.images, 8, 8)
    assert raw.images.dtype == np.uint8
    assert raw.published
    assert raw.images.mean() / 255 == pytest.approx(digits.INFO.mean[0], abs=2e-3)
    assert raw.images.std() / 255 == pytest.approx(digits.INFO.std[0], abs=2e-3)
    assert np.bincount(raw.labels).min() > 170


def test_another_file_is_refused_unless_accepted(monkeypatch):
    monkeypatch.setattr(digits, "CHECKSUM", "0" * 64)
    with pytest.raises(RemibenchError, match=r"digits\.csv\.gz: SHA-256 is"):
        load_dataset("digits", LoadOptions([]))
    assert not load_dataset("digits", LoadOptions([], published_only=False)).published
