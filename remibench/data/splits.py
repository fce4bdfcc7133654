"""Protocol: who holds which images (design of the evaluation, docs/protocol.md)."""

from __future__ import annotations

import numpy as np

from remibench.errors import RemibenchError
from remibench.seeding import derive_seed

# Membership model → (members, non-members) that it is fitted on, and that it is judged on. MF sees
# the target model; MIA is fitted on the shadow model and judged, like MF, on the target.
FITTED_ON = {"mf": ("mf_members", "out_of_sample"), "mia": ("shadow_train", "shadow_test")}
JUDGED_ON = {"mf": ("mf_holdout", "test"), "mia": ("target_train", "test")}
DEFENDER = ("target_train", "out_of_sample")  # all that an unlearning method may use
EVALUATED_ON = ("target_train", "test")
CALIBRATED_ON = "shadow_test"  # non-members of target and shadow model, held by the attacker

QUARTERS = ("target_train", "target_test", "shadow_train", "shadow_test")  # of the permutation


def split_dataset(
    images: int,
    split_seed: int,
    out_of_sample_fraction: float,
    swap_target_and_shadow: bool = False,
) -> dict[str, np.ndarray]:
    """Permute the pooled images, cut four equal quarters, and give each role its indices.

    The defender holds ``target_train`` and ``target_test``; the latter is cut into
    ``out_of_sample`` (used by membership fingerprinting and by ReMI's loss) and ``test`` (seen by
    no method). The attacker holds ``shadow_train`` and ``shadow_test`` alone. Membership
    fingerprinting is trained on ``mf_members`` (as many images of ``target_train`` as
    ``out_of_sample`` has) and judged on ``mf_holdout`` (the rest of ``target_train``) against
    ``test``.

    Args:
        images: Number N of pooled images; every quarter has floor(N/4).
        split_seed: Shared by all model seeds, so that every model sees the same quarters.
        out_of_sample_fraction: Share of ``target_test`` that becomes ``out_of_sample``.
        swap_target_and_shadow: Give the target's quarters to the shadow and the other way round,
            as a search does, so that it measures nothing on an image of a reported number.

    Returns:
        Role name → sorted int64 indices into the pooled images.

    Raises:
        RemibenchError: A role would be empty.
    """
    quarter = images // 4
    pool = round(quarter * out_of_sample_fraction)
    if not 0 < pool < quarter:
        raise RemibenchError(
            f"{images} images give quarters of {quarter}, of which `data.out_of_sample_fraction` = "
            f"{out_of_sample_fraction} leaves an empty role; use more images or another fraction"
        )
    order = np.random.default_rng(derive_seed("split", split_seed)).permutation(images)
    names = QUARTERS[2:] + QUARTERS[:2] if swap_target_and_shadow else QUARTERS
    roles = {name: order[k * quarter : (k + 1) * quarter] for k, name in enumerate(names)}
    roles["out_of_sample"], roles["test"] = np.split(roles["target_test"], [pool])
    roles["mf_members"], roles["mf_holdout"] = np.split(roles["target_train"], [pool])
    return {name: np.sort(indices).astype(np.int64) for name, indices in roles.items()}


def wrong_positions(positions: np.ndarray, count: int) -> str | None:
    """Say why an array is none of ascending positions among ``count`` images, or None if it is."""
    if positions.dtype != np.int64 or positions.ndim != 1:
        return f"{positions.dtype} of shape {positions.shape}, expected int64 of one dimension"
    if not positions.size:
        return "it is empty"
    if positions.min() < 0 or positions.max() >= count:
        wrong = positions.min() if positions.min() < 0 else positions.max()
        return f"position {wrong} is out of range 0…{count - 1}"
    if (np.diff(positions) <= 0).any():
        at = positions[1:][np.diff(positions) <= 0][0]
        return f"position {at} is repeated, or not in ascending order"
    return None
