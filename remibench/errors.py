"""The exceptions that users are meant to read."""


class RemibenchError(Exception):
    """Bad input or a failed run. The message is one line: what, which value, and the fix."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))  # other libraries' messages are quoted in it


class DivergedError(RemibenchError):
    """A loss or a weight is not finite any more."""


class TerminatedError(BaseException):
    """The job was told to end (SIGTERM). Nothing that handles errors may take it for one."""
