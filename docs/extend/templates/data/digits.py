"""1,797 real hand-written digits of 8×8 pixels, which come with scikit-learn."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from remibench.artifacts.io import sha256
from remibench.data import DatasetInfo, LoadOptions, RawDataset
from remibench.errors import RemibenchError

FILE = Path(find_spec("sklearn").origin).parent / "datasets" / "data" / "digits.csv.gz"
CHECKSUM = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
INFO = DatasetInfo(
    title="Digits",
    images=1_797,
    class_names=[str(digit) for digit in range(10)],
    mean=(0.305,),
    std=(0.376,),
    paper_dataset=None,  # none of the paper's: no published number is put beside it
)


def load(options: LoadOptions) -> RawDataset:
    """Read the digits; a line holds 64 grey levels from 0 to 16, then the label.

    Raises:
        RemibenchError: The file is not the published one, and ``options`` insist on it.
    """
    digest = sha256(FILE)
    if options.published_only and digest != CHECKSUM:
        raise RemibenchError(
            f"{FILE}: SHA-256 is {digest}, expected {CHECKSUM}; install scikit-learn again"
        )
    table = np.loadtxt(FILE, delimiter=",")
    return RawDataset(
        info=INFO,
        images=(table[:, :64].reshape(-1, 8, 8) * 255 / 16).astype(np.uint8),
        labels=table[:, 64].astype(np.int64),
        sources={FILE.name: digest},
        published=digest == CHECKSUM,
    )
