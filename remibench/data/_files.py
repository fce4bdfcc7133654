"""Finding, downloading, verifying and unpacking the files of a dataset."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import logging
import shutil
import socket
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from remibench.artifacts.io import atomic_path
from remibench.errors import RemibenchError

logger = logging.getLogger("remibench")

TIMEOUT = 60  # seconds without an answer before a download is given up
MAX_BYTES = 2**28  # of one file or member that is read into memory; published ones have 2^26
MAX_UNPACKED = 2**31  # bytes that are unpacked of one archive; the published ones have 2^29
REMEDY = "free space on that disk, or put another folder first in `data.search_path`"


def find(names: Iterable[str], folder: str, search_path: Sequence[Path]) -> Path | None:
    """Return the first place that holds all ``names``: a folder of the path, or its ``folder``."""
    candidates = [place for path in search_path for place in (path, path / folder)]
    return next((path for path in candidates if all((path / n).exists() for n in names)), None)


def download(url: str, md5: str, path: Path, what: str) -> None:
    """Fetch one file with torchvision's downloader; it takes its name only when it is whole.

    Raises:
        RemibenchError: The file cannot be fetched, or is not the published one.
    """
    from torchvision.datasets.utils import download_url

    logger.info("%s: downloading %s", what, path.name)
    timeout = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(TIMEOUT)
        with atomic_path(path, REMEDY) as temporary:
            temporary.unlink()  # torchvision would take it for a finished download
            try:
                download_url(url, str(temporary.parent), temporary.name, md5)
            except (OSError, RuntimeError, RecursionError, ValueError) as error:
                raise RemibenchError(
                    f"{what}: {path.name} was not found in `data.search_path` and cannot be "
                    f"downloaded ({error}); put it into {path.parent}"
                ) from error
    finally:
        socket.setdefaulttimeout(timeout)


def check_size(size: int, name: str | Path) -> None:
    """Refuse to read into memory what is larger than any published file.

    Raises:
        RemibenchError: There are more than ``MAX_BYTES``.
    """
    if size > MAX_BYTES:
        raise RemibenchError(
            f"{name}: {size:,} bytes, more than the {MAX_BYTES:,} of any published file; "
            "fetch it again"
        )


def verify(path: Path, md5: str, published_only: bool) -> str:
    """Return a file's MD5, the digest that publishers state.

    Raises:
        RemibenchError: It is not the published one, and ``published_only`` asks for it.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != md5 and published_only:
        raise RemibenchError(not_published(path, "MD5", digest, md5))
    return digest


def not_published(path: Path, digest: str, found: str, expected: str) -> str:
    """Return the message for a file that is not the published one."""
    return (
        f"{path}: not the published file ({digest} {found[:12]}…, expected {expected[:12]}…); "
        "fetch it again, or set `data.published_only: false` to use it, which every table will say"
    )


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a gzip-compressed tar archive, and read it to its end, where its checksum is.

    Raises:
        RemibenchError: It cannot be read, or is damaged.
    """
    damage = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)
    try:
        with contextlib.ExitStack() as stack:
            try:
                archive = stack.enter_context(tarfile.open(path, "r:gz"))
            except OSError as error:
                raise tarfile.TarError(error) from error
            yield archive
            while archive.fileobj.read(2**20):  # tarfile stops before the checksum
                pass
    except damage as error:
        raise RemibenchError(
            f"{path}: cannot be read as a tar.gz archive ({error}); fetch it again"
        ) from error


def unpack(
    archive_path: Path, folder: Path, wanted: Callable[[str], bool], required: Iterable[str] = ()
) -> None:
    """Unpack the wanted files of an archive into ``folder``, which appears when it is complete.

    Only regular files are written, under their own name and never outside (``filter="data"``).

    Args:
        archive_path: A ``.tar.gz`` file.
        folder: The folder to make.
        wanted: Chooses files by their name without folders.
        required: Names that must be among them.

    Raises:
        RemibenchError: The archive is damaged, a file is missing, the folder is there already and
            so was found incomplete, or the disk refuses.
    """
    if folder.exists():
        raise RemibenchError(f"{folder} is there but not complete; remove it and run again")
    logger.info("unpacking %s", archive_path)
    temporary, unpacked = None, 0
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        with open_archive(archive_path) as archive:
            for member in archive:
                name = Path(member.name).name
                if member.isfile() and wanted(name):
                    unpacked += member.size
                    if unpacked > MAX_UNPACKED:
                        raise RemibenchError(
                            f"{archive_path}: unpacks to more than {MAX_UNPACKED:,} bytes, which "
                            "the published archive does not; fetch it again"
                        )
                    member.name = name
                    archive.extract(member, temporary, filter="data")
        missing = [name for name in required if not (temporary / name).is_file()]
        if missing or not any(temporary.iterdir()):
            what = missing[0] if missing else "everything"
            raise RemibenchError(f"{archive_path}: {what} is missing; fetch it again")
        temporary.chmod(0o755)
        with contextlib.suppress(FileExistsError):  # another run was faster
            temporary.rename(folder)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:  # the same, as Linux says it
            return
        raise RemibenchError(
            f"cannot write {folder}: {error.strerror or error}; {REMEDY}"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
