"""The figure of test accuracies; that it draws for any grid is in test_reporting.py."""

import pytest
from test_reporting import RATES, make_results

from remibench.reporting import figure_test_accuracy
from remibench.reporting.render import use_theme


def test_it_shows_every_methods_mean():
    use_theme()
    axis = figure_test_accuracy.draw(make_results(methods=tuple(RATES))).axes[0]
    shown = [container.lines[0].get_ydata()[0] for container in axis.containers]
    expected = [100 * (rate + 0.01) for rate in RATES.values()]  # the mean of three seeds
    assert shown == pytest.approx(expected)
