"""Every random number in the project comes from a seed derived here by name."""

import hashlib


def derive_seed(*axes: str | int) -> int:
    """Derive a 63-bit seed from the names that it may depend on.

    ``derive_seed("fmnist", "cnn", 3, "target")`` depends on nothing but its arguments, so adding a
    dataset, a seed or a stage to the grid never changes the random numbers of another cell.
    """
    text = "\x1f".join(f"{type(axis).__name__}:{axis}" for axis in axes)
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
