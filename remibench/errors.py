"""The one exception that users are meant to read."""


class RemibenchError(Exception):
    """Bad input or a failed run. The message is one line: what, which value, and the fix."""


class DivergedError(RemibenchError):
    """A loss or a weight is not finite any more."""
