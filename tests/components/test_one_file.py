"""A method, a metric, a table and a figure of the package are one file each."""

import json
import os
import shutil
import subprocess
import sys
from textwrap import dedent

from support.smoke import ROOT

FILES = {
    "unlearning/echo.py": '''
        """Do nothing."""
        from __future__ import annotations
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from remibench.components.bounds import Positive
        LABEL = "Echo"
        COLOUR = "#123456"
        ORDER = 15
        def unlearn(task, *, times: Positive = 2):
            """Return at once."""
            return [{"epoch": 1, "seconds": 0.0}]
    ''',
    "evaluation/metrics/loudness.py": '''
        """How loud it is."""
        def measure(evaluation):
            """Yield one number."""
            yield "test", "loudness", 0.5
    ''',
    "reporting/beyond/table_loudness.py": '''
        """Loudness.

        Read it against *Retraining*.
        """
        from remibench.reporting.render import note as explain, pivot
        TITLE = "Loudness after unlearning"
        def build(results):
            return results.summary("loudness").assign(paper=float("nan"))
        def layout(table):
            return pivot(table, ["dataset", "architecture", "forget_ratio"], 1)
    ''',
    "reporting/paper/figure99_loudness.py": '''
        """Loudness by method, drawn."""
        import matplotlib.pyplot as plt
        from remibench.analysis.results import COLORS, METHODS
        TITLE = "Loudness, {ratio:.0%}"
        VARIANTS = {"figure99_loudness": {"ratio": 0.1}, "figure98_loudness": {"ratio": 0.5}}
        def draw(results, ratio):
            rows = results.summary("loudness")
            rows = rows[rows["forget_ratio"] == ratio]
            figure, axis = plt.subplots()
            names = rows["method"]
            axis.bar(names.map(METHODS), rows["mean"], color=list(names.map(COLORS)))
            return figure
    ''',
}
SCRIPT = """
import json, sys
from dataclasses import replace
from pathlib import Path
import pandas as pd
import yaml
from remibench.analysis.results import COLORS, METHODS
from remibench.components.products import products
from remibench.config.model import load_config
config = yaml.safe_load(Path("config.yaml").read_text())
config["methods"], config["metrics"] = ["original", "retrain", "echo"], ["accuracy", "loudness"]
cfg = load_config(config)
made = products()
found = {
    "methods": list(METHODS)[:3],
    "colour": COLORS["echo"],
    "times": cfg.unlearning.echo.times,
    "labels": {name: made[name].label for name in made if "loudness" in name},
    "caption": made["table_loudness"].caption,
    "imported": "torch" in sys.modules or "matplotlib" in sys.modules,
}
from remibench.evaluation.metrics import measure, Evaluation
subsets = dict.fromkeys(("forget", "retain", "test"))
given = Evaluation(None, None, None, subsets, None, {}, {}, None, {}, 0)
found["measured"] = list(measure("loudness", given))
from support.synthetic import synthetic_results
from remibench.reporting.render import make_product
results = synthetic_results(("fmnist",), ("cnn",), seeds=2, methods=("original", "retrain", "echo"))
rows = results.metric("accuracy").query("subset == 'test'").assign(metric="loudness", value=0.5)
results = replace(results, evaluation=pd.concat([results.evaluation, rows]))
for name in found["labels"]:
    product = made[name]
    suffixes = {"figure": ("svg", "png"), "table": ("csv", "tex", "html")}[product.kind]
    make_product(product, results, **{suffix: Path(f"{name}.{suffix}") for suffix in suffixes})
print(json.dumps(found))
"""


def test_one_file_is_enough_for_a_method_a_metric_a_table_and_a_figure(tmp_path):
    for name in ("remibench", "paper", "data"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copy(ROOT / "config.yaml", tmp_path)
    for name, text in FILES.items():
        (tmp_path / "remibench" / name).write_text(dedent(text))
    paths = (tmp_path, ROOT / "tests")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == {
        "methods": ["original", "retrain", "echo"],
        "colour": "#123456",
        "times": 2,
        "labels": {
            "table_loudness": "Loudness after unlearning",
            "figure98_loudness": "98: Loudness, 50%",
            "figure99_loudness": "99: Loudness, 10%",
        },
        "caption": "Loudness.\n\nRead it against *Retraining*.",
        "imported": False,
        "measured": [["test", "loudness", 0.5]],
    }
    assert "Echo" in (tmp_path / "figure98_loudness.svg").read_text()
    assert "#123456" in (tmp_path / "figure99_loudness.svg").read_text()
    assert "fmnist,cnn,0.5,echo,test,0.5" in (tmp_path / "table_loudness.csv").read_text()
    assert "Echo" in (tmp_path / "table_loudness.html").read_text()
