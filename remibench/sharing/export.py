"""A results tree as one archive: the same tree gives the same bytes, and half of one is refused."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from remibench.artifacts.io import atomic_path, check_file, load_settings, sha256
from remibench.artifacts.paths import ARTIFACTS, GATHERED, PROGRESS
from remibench.artifacts.tables import TEXT, load_table
from remibench.errors import RemibenchError
from remibench.sharing import crate
from remibench.sharing.archive import CHUNK, MANIFEST, Archive, is_plain, manifest

REQUIRED = (  # what a finished run of the workflow has
    *(ARTIFACTS[name] for name in GATHERED),
    *(ARTIFACTS[name] for name in ("config", "hyperparameters", "provenance", "summary")),
    "tables",
    "figures",
    "scorecard",
    "statistics",
)
MADE = ("data", "models", "attacks", "forget", "unlearned", "evaluation")  # by single jobs
READABLE = {".csv", ".html", ".json", ".md", ".png", ".svg", ".tex", ".tsv", ".txt", ".yaml"}
CHECKPOINTS = {".npy", ".npz", ".safetensors"}
IMAGES = {"images.npy", "labels.npy"}  # whoever may have them gets them from their publisher
SHEETS = {"forget_images", "figure_forget_images"}  # files that show some of them
PACKED = {".npy", ".npz", ".png", ".safetensors"}  # deflate gains nothing on them
LEFT_OUT = ("logs", PROGRESS)  # the first has names of folders and machines


@dataclass(frozen=True)
class Exported:
    """Contents of an archive, and the files that were left out."""

    path: Path
    files: int
    size: int  # bytes, unpacked
    sha256: str
    left_out: Counter[str]

    def __str__(self) -> str:
        stayed = ", ".join(f"{count:,} {what}" for what, count in sorted(self.left_out.items()))
        return (
            f"{self.path}: {self.files:,} files, {self.size:,} bytes, "
            f"{self.path.stat().st_size:,} packed\nSHA-256 {self.sha256}"
            + (f"\nLeft out: {stayed}" if stayed else "")
        )


def export(results: str | Path, archive: str | Path, checkpoints: bool = False) -> Exported:
    """Write the archive of a finished results tree, with one checkpoint in memory at a time.

    Args:
        results: The tree.
        archive: The zip file to write. It appears when it is complete.
        checkpoints: Also models, attacks, forget sets and splits; never images.

    Raises:
        RemibenchError: The tree is not finished, has links, or changes meanwhile; a checkpoint is
            damaged; the archive exists or cannot be written.
    """
    results, archive = Path(results), Path(archive)
    if archive.exists():
        raise RemibenchError(f"{archive} exists; remove it or choose another ARCHIVE")
    check_finished(results)
    paths, left_out = choose(results, checkpoints)
    digests: dict[str, str] = {}
    sizes: dict[str, int] = {}
    with atomic_path(archive, "free space on that disk or choose another ARCHIVE") as temporary:
        with zipfile.ZipFile(temporary, "w") as file:
            for folder in sorted({name.split("/")[0] for name in paths if "/" in name}):
                file.writestr(_entry(f"{folder}/", 0, stat.S_IFDIR | 0o755), b"")
            for name, path in paths.items():
                digests[name], sizes[name] = _add(file, name, path)
            metadata = crate.describe(results, digests, sizes)
            digests[crate.NAME] = hashlib.sha256(metadata).hexdigest()
            file.writestr(_entry(crate.NAME, len(metadata)), metadata)
            listing = manifest(digests).encode()
            file.writestr(_entry(MANIFEST, len(listing)), listing)
        with Archive(temporary) as written:  # what is written is what will be read
            size = written.size
    return Exported(archive, len(digests), size, sha256(archive), left_out)


def check_finished(results: Path) -> None:
    """Refuse a tree whose tables are not those of all its models.

    Raises:
        RemibenchError: A table is missing, an artifact is newer than the tables made of it, or a
            cell of the config has no numbers.
    """
    again = "run the same snakemake command again until it finishes"
    if not results.is_dir():
        raise RemibenchError(f"{results}: no such results tree; name its folder as RESULTS")
    for name in REQUIRED:
        if not (results / name).exists():
            raise RemibenchError(f"{results} is not finished: it has no {name}; {again}")
    made = (results / ARTIFACTS["evaluation"]).stat().st_mtime_ns
    for path in _walk(results, MADE):
        if path.stat().st_mtime_ns > made:
            raise RemibenchError(
                f"{results} is not finished: {path.relative_to(results)} is newer than "
                f"evaluation.csv; {again}"
            )
    missing = _missing_cells(results)
    if missing:
        raise RemibenchError(
            f"{results} is not finished: evaluation.csv lacks {missing[0]} and {len(missing) - 1} "
            f"other cells of config.yaml; {again}"
        )


def choose(results: Path, checkpoints: bool) -> tuple[dict[str, Path], Counter[str]]:
    """Files of a tree that go into its archive, by their sorted names, and what is left out.

    Raises:
        RemibenchError: A file is a link, or its name cannot be in an archive.
    """
    suffixes = READABLE | (CHECKPOINTS if checkpoints else set())
    chosen: dict[str, Path] = {}
    left_out: Counter[str] = Counter()
    for path in _walk(results):
        name = path.relative_to(results).as_posix()
        if name.split("/")[0] in LEFT_OUT:
            left_out[name.split("/")[0]] += 1
        elif path.name in IMAGES:
            left_out["arrays of images and labels"] += 1
        elif path.stem in SHEETS:
            left_out["files with forget images"] += 1
        elif name == "report.html":
            left_out["report.html"] += 1  # half of it is the scripts of its tables
        elif path.suffix in suffixes:
            if not is_plain(name):
                raise RemibenchError(
                    f"{path}: not every system can have this name; rename the file"
                )
            chosen[name] = path
        elif path.suffix in CHECKPOINTS:
            left_out["checkpoints (CHECKPOINTS=1 adds them)"] += 1
        else:
            left_out[f"*{path.suffix}"] += 1
    return dict(sorted(chosen.items())), left_out


def _walk(results: Path, folders: tuple[str, ...] = ("",)) -> Iterator[Path]:
    """Files of a tree's folders but hidden ones; links are refused, not followed."""
    for start in folders:
        for folder, names, files in os.walk(results / start):
            names[:] = [name for name in names if not name.startswith(".")]
            for name in (*names, *files):
                if Path(folder, name).is_symlink():
                    raise RemibenchError(
                        f"{Path(folder, name)} is a link; put the file or folder itself there"
                    )
            yield from (Path(folder, name) for name in files if not name.startswith("."))


def _missing_cells(results: Path) -> list[str]:
    config = load_settings(
        results / ARTIFACTS["config"],
        *("methods", "datasets", "architectures", "seeds", "forget_ratios"),
    )
    models = [*config["methods"], *config.get("controls", [])]
    axes = [config["datasets"], config["architectures"], config["seeds"], models]
    table = load_table(results / ARTIFACTS["evaluation"], TEXT)
    columns = ["dataset", "architecture", "seed", "method", "forget_ratio"]
    evaluated = set(table[columns].drop_duplicates().itertuples(index=False, name=None))
    cells = product(*axes, config["forget_ratios"])
    return [" ".join(map(str, cell)) for cell in cells if cell not in evaluated]


def _entry(name: str, size: int, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    """A zip entry that depends on nothing but name and content."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # zip knows no earlier one
    entry.create_system = 3  # Unix, on every system
    entry.external_attr = mode << 16
    entry.file_size = size  # more than 2 GiB need other headers
    packed = Path(name).suffix in PACKED or not size
    entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
    return entry


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[str, int]:
    """Copy a file into the archive piece by piece; return its SHA-256 and size."""
    digest = hashlib.sha256()
    size = 0
    expected = path.stat().st_size
    check_file(path)  # what is damaged would be listed with the SHA-256 of the damaged file
    with path.open("rb") as source, archive.open(_entry(name, expected), "w") as target:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            target.write(chunk)
            size += len(chunk)
            if size > expected:
                break
    if size != expected:
        raise RemibenchError(f"{path} changed while it was read; wait until the run has finished")
    return digest.hexdigest(), size
