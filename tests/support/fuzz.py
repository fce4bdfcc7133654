"""Read damaged copies of one dataset's files: ``python -m support.fuzz FORM COUNT`` in tests/.

Every one must load with images and labels that fit, or be refused by a ``RemibenchError`` of one
line; in any other case the script ends with a traceback. It may take little more memory than it has
at the start: a limit of the operating system ends what asks for more.
"""

import gzip
import resource
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from support import standins

from remibench.data import LoadOptions, load_dataset
from remibench.data.preparation import prepare_dataset
from remibench.errors import RemibenchError
from remibench.jobs.script import peak_memory

HEADROOM = 2**29  # bytes of address space
ROOM = 2**28  # bytes of memory, as much as a reader may take of one file


def unzip_members(path):
    """Name → content of a tar.gz archive."""
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def mutate_member(path, rng):
    """Damage one member of an archive, not its compression."""
    members = unzip_members(path)
    name = rng.choice(sorted(members))
    standins.write_archive(path, members | {str(name): mutate(members[name], rng)})


def mutate_content(path, rng):
    """Damage what a gzip file holds, not its compression."""
    path.write_bytes(gzip.compress(mutate(gzip.decompress(path.read_bytes()), rng), 1))


def mutate_file(path, rng):
    """Damage the bytes of a file."""
    path.write_bytes(mutate(path.read_bytes(), rng))


FORMS = {  # form → dataset, its writer, number of labels and classes, what is damaged
    "idx": ("fmnist", standins.write_fmnist, 28, 10, mutate_content),
    "idx_gzip": ("fmnist", standins.write_fmnist, 28, 10, mutate_file),
    "cifar10_pickle": ("cifar10", standins.write_cifar10_folder, 24, 10, mutate_file),
    "cifar10_python": ("cifar10", standins.write_cifar10_python, 24, 10, mutate_member),
    "cifar10_binary": ("cifar10", standins.write_cifar10_binary, 24, 10, mutate_member),
    "cifar10_tar": ("cifar10", standins.write_cifar10_binary, 24, 10, mutate_content),
    "stl10_files": ("stl10", standins.write_stl10_folder, 13, 10, mutate_file),
    "stl10_tar": ("stl10", standins.write_stl10_archive, 13, 10, mutate_content),
    "utkface_files": ("utkface", standins.write_utkface_folder, 8, 4, mutate_file),
    "utkface_tar": ("utkface", standins.write_utkface_archive, 8, 4, mutate_content),
}


def mutate(content, rng):
    """Flip bits, cut off, insert, or write a huge integer; near the start as often as anywhere."""
    content = bytearray(content)
    span = len(content) if rng.random() < 0.5 else min(len(content), 600)
    at = int(rng.integers(max(span, 1)))
    match rng.choice(["flip", "cut", "insert", "huge", "byte"]):
        case "flip":
            for place in rng.integers(max(span, 1), size=rng.integers(1, 20)):
                if content:
                    content[place] ^= 1 << int(rng.integers(8))
        case "cut":
            del content[at:]
        case "insert":
            content[at:at] = rng.bytes(int(rng.integers(1, 64)))
        case "huge":
            width = int(rng.choice([2, 4, 8]))
            content[at : at + width] = rng.choice([b"\xff", b"\x7f", b"\x00"]) * width
        case "byte":
            content[at : at + 1] = rng.bytes(1)
    return bytes(content)


def load(name, folder, options):
    """Read a dataset as the workflow does; return how many images it has."""
    raw = load_dataset(name, options)
    outputs = [
        folder / part for part in ("images.npy", "labels.npy", "metadata.json", "attributes.npz")
    ]
    prepare_dataset(name, raw, 32, None, *outputs)
    channels = len(raw.info.mean)
    assert np.load(outputs[0], mmap_mode="r").shape == (len(raw.labels), channels, 32, 32)
    return len(raw.labels)


def main(form, count):
    """Damage and read so many times; print how often it was loaded and refused."""
    name, write, labels, classes, damage = FORMS[form]
    rng = np.random.default_rng([count, sorted(FORMS).index(form)])
    outcomes = Counter()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write(home / "source" / name, standins.balanced(labels, classes))
        whole = {path: path.read_bytes() for path in (home / "source").rglob("*") if path.is_file()}
        assert load(name, home, LoadOptions([home / "first", home / "source"], False)) == labels
        start = peak_memory()
        used = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (used + HEADROOM, resource.RLIM_INFINITY))
        for attempt in range(count):
            victim = sorted(whole)[rng.integers(len(whole))]
            damage(victim, rng)
            options = LoadOptions([home / f"unpacked{attempt}", home / "source"], False)
            try:
                load(name, home, options)
                outcomes["loaded"] += 1
            except RemibenchError as error:
                if "\n" in str(error):
                    raise
                outcomes["refused"] += 1
            victim.write_bytes(whole[victim])
        assert peak_memory() - start < ROOM, f"it took {peak_memory() - start} bytes"
    print(f"{form}: {outcomes['loaded']} loaded, {outcomes['refused']} refused")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
