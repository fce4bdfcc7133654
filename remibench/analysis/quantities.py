"""Quantities that tables, figures and the summary show, each under one name.

A module chooses among them by metric and subset (:func:`choose`), so that a number has the same
label, unit and number of decimals wherever it stands. "MIA rate" is the share of images that
membership inference calls members; the paper calls it the accuracy of MIA.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LOG_EFFICACY = "log10_efficacy"  # scores span orders of magnitude: their logarithms are compared


@dataclass(frozen=True)
class Quantity:
    """A metric on a subset, and how its numbers are shown.

    Attributes:
        metric, subset: Names, as in ``evaluation.csv``.
        label: The name in tables.
        scale: Factor by which a value is multiplied before it is shown; 100 for percent.
        decimals: Number of decimal places that are shown.
        worse: Where a gap to retraining is worse than none: ``both`` sides, ``below`` or ``above``.
    """

    metric: str
    subset: str
    label: str
    scale: float = 1.0
    decimals: int = 3
    worse: str = "both"

    @property
    def title(self) -> str:
        """The label with the unit of what is shown."""
        return f"{self.label}, %" if self.scale == 100 else self.label


def mathematical(text: str) -> str:
    """The same text for a figure or LaTeX: ``$D_f$`` for ``D_f``."""
    return re.sub(r"\b([A-Z])_(\w)\b", r"$\1_\2$", text)


_QUANTITIES = (
    Quantity("accuracy", "forget", "accuracy D_f", 100, 1),
    Quantity("accuracy", "retain", "accuracy D_r", 100, 1, worse="below"),
    Quantity("accuracy", "test", "accuracy test", 100, 1, worse="below"),
    Quantity("mia_whitebox_rate", "forget", "MIA rate D_f"),
    Quantity("mia_whitebox_rate", "retain", "MIA rate D_r"),
    Quantity("mia_whitebox_rate", "test", "MIA rate test"),
    Quantity("mia_blackbox_rate", "forget", "MIA rate D_f, black-box"),
    Quantity("mia_whitebox_auc", "forget", "AUC D_f"),
    Quantity("mia_whitebox_auc", "retain", "AUC D_r"),
    Quantity("mia_whitebox_tpr_at_1pct", "forget", "TPR D_f at 1% FPR"),
    Quantity("mia_whitebox_tpr_at_0.1pct", "forget", "TPR D_f at 0.1% FPR"),
    Quantity("mia_whitebox_worst_decile", "forget", "worst decile D_f"),
    Quantity("mia_whitebox_advantage", "retain", "advantage D_r", worse="above"),
    Quantity(LOG_EFFICACY, "forget", "log10 of efficacy D_f", decimals=2),
    Quantity("efficacy", "forget", "efficacy D_f"),
    Quantity("relearn_steps", "forget", "relearn steps", decimals=1),
    Quantity("two_models_distance_vs_test_auc", "forget", "two models, AUC D_f vs test"),
    Quantity("two_models_distance_vs_retain_auc", "forget", "two models, AUC D_f vs D_r"),
    Quantity("tow", "", "ToW", worse="below"),
    Quantity("tow_mia_whitebox", "", "ToW-MIA", worse="below"),
    Quantity("loss", "forget", "loss D_f"),
    Quantity("mia_whitebox_tpr_at_10pct", "forget", "TPR D_f at 10% FPR"),
    Quantity("mia_blackbox_auc", "forget", "AUC D_f, black-box"),
    Quantity("mia_whitebox_published_rate", "forget", "MIA rate D_f, white-box as published"),
    Quantity("mia_whitebox_published_auc", "forget", "AUC D_f, white-box as published"),
    Quantity("calibrated_whitebox_rate", "forget", "MIA rate D_f, calibrated"),
    Quantity("calibrated_whitebox_auc", "forget", "AUC D_f, calibrated"),
    Quantity("calibrated_blackbox_rate", "forget", "MIA rate D_f, calibrated black-box"),
    Quantity("confidence_worst_decile", "forget", "worst decile D_f, confidence"),
    Quantity("ulira_auc", "forget", "U-LiRA: AUC D_f"),
    Quantity("ulira_accuracy", "forget", "U-LiRA: accuracy D_f"),
    Quantity("ulira_tpr_at_1pct", "forget", "U-LiRA: TPR D_f at 1% FPR"),
    Quantity("ulira_tpr_at_0.1pct", "forget", "U-LiRA: TPR D_f at 0.1% FPR"),
    Quantity("ulira_auc", "test", "U-LiRA: AUC test"),
    Quantity("rmia_auc", "forget", "RMIA: AUC D_f"),
    Quantity("rmia_vs_test_auc", "forget", "RMIA: AUC D_f vs test"),
    Quantity("klom_halves", "forget", "KLOM D_f, halves", decimals=2),
    Quantity("klom_halves", "retain", "KLOM D_r, halves", decimals=2),
    Quantity("klom_halves", "test", "KLOM test, halves", decimals=2),
    Quantity("klom", "forget", "KLOM D_f", decimals=2),
    Quantity("forgetting_quality_halves", "forget", "forgetting quality, halves"),
    Quantity("final_score_halves", "forget", "forgetting quality × utility, halves"),
    Quantity("forgetting_quality", "forget", "forgetting quality"),
    Quantity("final_score", "forget", "forgetting quality × utility"),
    Quantity("epsilon_separated", "forget", "share of D_f with ε = ∞"),
    Quantity("seconds", "", "seconds", decimals=1),
)
_BY_KEY = {(quantity.metric, quantity.subset): quantity for quantity in _QUANTITIES}


def quantity(metric: str, subset: str) -> Quantity:
    """Look up the quantity that a metric on a subset is."""
    return _BY_KEY[metric, subset]


def choose(*keys: tuple[str, str]) -> list[Quantity]:
    """Look up the quantities of several metrics, each with its subset."""
    return [_BY_KEY[key] for key in keys]
