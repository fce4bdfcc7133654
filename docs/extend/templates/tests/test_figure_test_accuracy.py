"""The figure of test accuracies; tests/components/test_contracts.py draws it for any grid."""

import pytest
from support.synthetic import synthetic_results

from remibench.reporting import figure_test_accuracy
from remibench.reporting.render import use_theme


def test_it_shows_every_methods_mean():
    use_theme()
    results = synthetic_results(("fmnist",), ("cnn",), seeds=3, ratios=(0.1,))
    axis = figure_test_accuracy.draw(results).axes[0]
    shown = [container.lines[0].get_ydata()[0] for container in axis.containers]
    rows = results.metric("accuracy", scale=100)
    means = rows[rows["subset"] == "test"].groupby("method")["value"].mean()
    assert shown == pytest.approx([means[method] for method in results.methods])
