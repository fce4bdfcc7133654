"""Archives of results trees: zip files with a manifest of checksums, read as if anybody made them.

An archive is a plain zip file; its ``manifest-sha256.txt`` has a line per file as ``sha256sum``
writes it. Nothing here unpacks to the disk, and nothing is in memory whole but the manifest and
the small files that are asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from remibench.errors import RemibenchError

MANIFEST = "manifest-sha256.txt"
MAX_BYTES = 2**28  # of a file that is read whole
MAX_RATIO = 200  # unpacked to packed; deflate reaches 1,032 on zeros, tables of numbers 20
SMALL = 2**24  # bytes: below it, any ratio is harmless
CHUNK = 2**20  # bytes in memory at once
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def manifest(digests: dict[str, str]) -> str:
    """A line per file, in order: SHA-256, two spaces, name; ``sha256sum --check`` reads it."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items())


class Archive:
    """An exported results tree, opened for reading.

    Attributes:
        digests: SHA-256 of each file by name, as the manifest states it, in the archive's order.

    Raises:
        RemibenchError: It is no zip file or a damaged one, has no manifest or other files than the
            manifest lists, or is one that an ordinary unpacking could suffer from: names that leave
            the folder, links, files that overlap, or that unpack to 200 times their size.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self._readable("the archive"):
            self._zip = zipfile.ZipFile(self.path)
        try:
            self._entries = self._check_entries()
            self.digests = self._check_manifest()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @property
    def size(self) -> int:
        """Bytes of all files, unpacked."""
        return sum(entry.file_size for entry in self._entries.values())

    def check(self, name: str) -> None:
        """Read a file through, and compare its SHA-256 with the manifest's.

        Raises:
            RemibenchError: They differ, or the file cannot be unpacked.
        """
        digest = hashlib.sha256()
        with self._readable(name), self._zip.open(self._entries[name]) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        self._compare(name, digest.hexdigest())

    def read(self, name: str) -> bytes:
        """The content of a file of at most 256 MiB, after the same check.

        Raises:
            RemibenchError: As :meth:`check`; or there is no such file, or a larger one.
        """
        if name not in self._entries:
            raise self._refused(f"it has no {name}")
        if self._entries[name].file_size > MAX_BYTES:
            raise self._refused(f"{name} is larger than {MAX_BYTES:,} bytes")
        with self._readable(name):
            content = self._zip.read(self._entries[name])
        if name != MANIFEST:
            self._compare(name, hashlib.sha256(content).hexdigest())
        return content

    def _check_entries(self) -> dict[str, zipfile.ZipInfo]:
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._zip.infolist():
            name = entry.orig_filename  # `filename` ends at a NUL
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if not is_plain(name.removesuffix("/")):
                raise self._refused(f"the name {name!a} is not that of a file inside it")
            if name.endswith("/") and kind == stat.S_IFDIR and not entry.file_size:
                continue  # an empty folder
            if name in entries:
                raise self._refused(f"it has {name!a} twice")
            if kind not in (0, stat.S_IFREG) or name.endswith("/"):
                raise self._refused(f"{name!a} is a link or a device")
            if entry.file_size > max(SMALL, MAX_RATIO * entry.compress_size):
                raise self._refused(
                    f"{name!a} unpacks to {entry.file_size:,} bytes, more than {MAX_RATIO} times "
                    "its size"
                )
            entries[name] = entry
        if sum(entry.compress_size for entry in entries.values()) > self.path.stat().st_size:
            raise self._refused("its files overlap")
        return entries

    def _check_manifest(self) -> dict[str, str]:
        try:
            lines = self.read(MANIFEST).decode().splitlines()
        except UnicodeDecodeError as error:
            raise self._refused(f"{MANIFEST} is damaged") from error
        matches = [_LINE.fullmatch(line) for line in lines]
        if None in matches:
            raise self._refused(f"line {matches.index(None) + 1} of {MANIFEST} is damaged")
        digests = {match[2]: match[1] for match in matches}
        for name in digests:
            if name not in self._entries:
                raise self._refused(f"{name!a}, which its manifest lists, is missing")
        for name in self._entries:
            if name not in digests and name != MANIFEST:
                raise self._refused(f"{name!a} is not in its manifest")
        return digests

    def _compare(self, name: str, digest: str) -> None:
        if digest != self.digests[name]:
            raise self._refused(f"{name} is damaged (SHA-256 {digest}, not {self.digests[name]})")

    def _refused(self, reason: str) -> RemibenchError:
        return RemibenchError(f"{self.path}: {reason}; get or export the archive again")

    @contextlib.contextmanager
    def _readable(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise RemibenchError(f"{self.path}: no such archive; check its name") from error
        except Exception as error:  # zipfile believes lengths and methods that a file states
            raise self._refused(f"{what} is damaged ({error})") from error


def is_plain(name: str) -> bool:
    """Tell whether a name is that of a file below a folder, on any system."""
    parts = name.split("/")
    return name.isprintable() and not ({"", ".", ".."} & set(parts) or "\\" in name or ":" in name)


def verify(path: str | Path) -> str:
    """Check every file of an archive against its manifest, in constant memory.

    Returns:
        What was checked, one line.

    Raises:
        RemibenchError: The archive is not whole; the message names the first damaged file.
    """
    with Archive(path) as archive:
        for name in archive.digests:
            archive.check(name)
        return f"{path}: all {len(archive.digests):,} files ({archive.size:,} bytes) are as listed"
