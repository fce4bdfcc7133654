"""Identity of artifacts: each file states which one it is, and every reader compares it.

What a file states follows from its path and from the job that writes it: the name of the artifact
and its axes (dataset, architecture, seed, …), the digest of the job's slice of the config, and the
SHA-256 of every file that it was made from. What a reader expects follows from the path that it
reads. So a valid file in another's place is refused, and so is one that was made from other files
than those that the reading job has.

Files outside a results tree state nothing and are not compared.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from remibench.artifacts.paths import COLUMNS, identify, place

KEY = "identity"  # of JSON records, npz members, safetensors headers, and the columns of tables
# No inputs: the metadata states the SHA-256 of the images, and seconds differ in every run.
_UNSTATED = ("images", "cost")
_ROWS = "rows="  # before the number of a table's rows


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Origin:
    """What a job makes its artifacts from.

    Args:
        inputs: The job's input files.
        settings: The job's slice of the config; JSON-serialisable.
    """

    def __init__(self, inputs: Iterable[str], settings: Any) -> None:
        self._paths = {
            place(path): path for path in inputs if (identify(path) or "?")[0] not in _UNSTATED
        }
        self._settings = settings
        self._digests: dict[str, str] = {}

    def _digest_of(self, at: str) -> str:
        if at not in self._digests:
            self._digests[at] = sha256(self._paths[at])
        return self._digests[at]

    @property
    def inputs(self) -> dict[str, str]:
        """SHA-256 of the input files by their place in the results tree."""
        return {at: self._digest_of(at) for at in sorted(self._paths)}

    @property
    def record(self) -> dict[str, Any]:
        """``config``, the digest of the settings, and ``inputs``."""
        return {"config": _digest(self._settings), "inputs": self.inputs}

    def other_input(self, inputs: Mapping[str, str]) -> tuple[str, str] | None:
        """Which of the files that an artifact was made from is another one here, if any is.

        Returns:
            Its path, and a sentence that names it.
        """
        for at, stated in inputs.items():
            if at in self._paths and stated != (found := self._digest_of(at)):
                reason = f"it was made from another {at}: SHA-256 {stated}, expected {found}"
                return self._paths[at], reason
        return None


_origin: ContextVar[Origin | None] = ContextVar("origin", default=None)


@contextlib.contextmanager
def made_by(job: Origin) -> Iterator[None]:
    """Let artifacts state this origin, and compare those that are read with it."""
    token = _origin.set(job)
    try:
        yield
    finally:
        _origin.reset(token)


def origin() -> Origin | None:
    """The origin of what this job makes; None outside a job."""
    return _origin.get()


def state(path: str | Path) -> dict[str, Any] | None:
    """What the artifact at this path is to say of itself; None of a file that is none."""
    found = identify(path)
    if found is None:
        return None
    name, axes = found
    current = origin()
    return {"artifact": name, **axes, **(current.record if current else {})}


def mismatch(path: str | Path, stated: Mapping[str, Any] | None) -> str | None:
    """Say in what a file is not what its path says, or None.

    Args:
        path: The path that was read.
        stated: What the file says of itself, or None. To say nothing, or not what it was made
            from, is wrong in a job alone: trees of earlier versions can still be shared and
            compared, and what no job wrote can still be read.
    """
    found = identify(path)
    if found is None:
        return None
    name, axes = found
    current = origin()
    expected = " ".join([name, *axes.values()])
    if stated is None:
        return f"it does not state what it is, expected {expected}" if current else None
    title = " ".join([str(stated.get("artifact")), *(str(stated.get(axis, "")) for axis in axes)])
    if title != expected:
        return f"it is {title}, expected {expected}"
    inputs, config = (stated.get(key) for key in ("inputs", "config"))
    tells = not {"inputs", "config"}.isdisjoint(stated)
    if current and not tells:
        return f"it does not state what it was made from, expected {expected}"
    if tells and not (isinstance(inputs, Mapping) and isinstance(config, str)):
        return f"it states what it was made from as {inputs!r:.80} with {config!r:.80}"
    return None


def table_columns(path: str | Path, rows: int) -> tuple[dict[str, str], dict[str, str]]:
    """What each row of the table at this path is to say: its axes first, and last ``identity``.

    That is the name of the artifact, of a job's the digest of all that it was made from, and the
    number of rows, without which a table that is cut at a line's end would look whole.
    """
    stated = state(path)
    if stated is None:
        return {}, {}
    name, axes = identify(path)
    columns = {COLUMNS.get(axis, axis): value for axis, value in axes.items()}
    return columns, {KEY: " ".join(filter(None, [name, fingerprint(stated), f"{_ROWS}{rows}"]))}


def table_mismatch(path: str | Path, header: list[str], rows: Sequence[list[str]]) -> str | None:
    """As :func:`mismatch`, of a table."""
    found = identify(path)
    if found is None:
        return None
    name, axes = found
    expected = " ".join([name, *axes.values()])
    columns = [COLUMNS.get(axis, axis) for axis in axes]
    if missing := [column for column in columns if column not in header]:
        return f"it has no column {missing[0]!r}, expected {expected}"
    if origin() and KEY not in header:
        return f"it does not state what it is, expected {expected}"
    if not rows:
        return f"it has no rows, expected {expected}"
    places = [header.index(column) for column in columns]
    for row in rows:
        kind, _, count = (row[header.index(KEY)] if KEY in header else name).partition(" ")
        title = " ".join([kind, *(row[at] for at in places)])
        if title != expected:
            return f"it has rows of {title}, expected {expected}"
        _, stated, count = count.partition(_ROWS)  # earlier versions stated none
        if stated and count != str(len(rows)):
            return f"it has {len(rows)} rows where {count} were written"
    made_from = {table_origin(row[header.index(KEY)]) for row in rows} if KEY in header else {""}
    if len(made_from) > 1:
        return f"it has rows of {len(made_from)} jobs, expected {expected}"
    if origin() and made_from == {""}:
        return f"it does not state what it was made from, expected {expected}"
    return None


def table_origin(text: str) -> str:
    """The digest in a table's column ``identity``, as :func:`fingerprint`."""
    return text.partition(" ")[2].partition(_ROWS)[0].strip()


def fingerprint(stated: Mapping[str, Any]) -> str:
    """The digest of what an artifact was made from; that of all outputs of a job is the same."""
    return _digest([stated["config"], stated["inputs"]]) if "inputs" in stated else ""


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
