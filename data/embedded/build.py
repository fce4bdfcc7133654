"""Make the embedded subset: the first 400 images of each class of Fashion-MNIST's training part.

Run from the repository root: ``python data/embedded/build.py [FOLDER WITH THE IDX FILES]``.
It verifies the source files, writes the two idx files and ``manifest.json``, and prints their
checksums, which ``remibench/data/fmnist_embedded.py`` and a test hold.
"""

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np

from remibench.artifacts.io import save_json
from remibench.data._files import find
from remibench.data._idx import read_idx, write_idx
from remibench.data.fmnist import DEBIAN_FOLDER, FILES

PER_CLASS = 400
HERE = Path(__file__).parent


def main() -> None:
    """Write the subset beside this script."""
    folder = find(FILES, "fmnist", [*map(Path, sys.argv[1:]), DEBIAN_FOLDER])
    if folder is None:
        sys.exit(f"no folder with {', '.join(FILES)}; give it as the argument")
    names = list(FILES)[:2]
    images, labels = (read_idx(folder / name, *FILES[name])[0] for name in names)
    first = [np.flatnonzero(labels == label)[:PER_CLASS] for label in range(10)]
    chosen = np.sort(np.concatenate(first))
    results = {}
    for name, array in zip(names, (images[chosen], labels[chosen]), strict=True):
        target = HERE / name.replace("train", "fmnist4000")
        write_idx(target, array)
        results[target.name] = hashlib.sha256(gzip.decompress(target.read_bytes())).hexdigest()
        print(results[target.name], target.name)
    save_json(
        HERE / "manifest.json",
        {
            "what": f"first {PER_CLASS} images of each class of Fashion-MNIST's training part, "
            "in their original order",
            "licence": "MIT, Copyright 2017 Zalando SE",
            "source": {name: FILES[name][1] for name in names},
            "result": results,
            "checksums": "SHA-256 of the uncompressed idx content",
        },
    )


if __name__ == "__main__":
    main()
