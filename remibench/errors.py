"""The exceptions that users are meant to read."""


def printable(text: str) -> str:
    """A text whose control signs, but line ends, are written out: a terminal obeys none of them."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """A text on one line that a terminal shows as it is: see :func:`printable`."""
    return printable(" ".join(text.split()))


class RemibenchError(Exception):
    """Bad input or a failed run. The message is one line: what, which value, and the fix."""

    def __init__(self, message: str) -> None:
        # Other libraries' messages, and what files hold, are quoted in it.
        super().__init__(one_line(message))


class DivergedError(RemibenchError):
    """A loss or a weight is not finite any more."""


class TerminatedError(BaseException):
    """The job was told to end (SIGTERM). Nothing that handles errors may take it for one."""
