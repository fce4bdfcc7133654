"""The pages on models of one's own: what they show is run, and the notebook is one of them."""

import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from remibench.config.audit import read_audit
from remibench.config.model import load_config

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOTEBOOK = ROOT / "examples" / "audit.ipynb"


def script(page):
    """The block of a page that is a script of its own, with its imports."""
    blocks = re.findall(
        r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE
    )
    (found,) = [block for block in blocks if "import remibench" in block]
    return found


def block(page, title):
    """The block of a page with that title."""
    found = re.search(
        rf'^```yaml title="{title}"\n(.*?)^```', (DOCS / page).read_text(), re.M | re.S
    )
    return found[1]


def run(code, folder, monkeypatch):
    """Run code in a folder; return its names."""
    monkeypatch.chdir(folder)
    names = {"__name__": "__main__"}
    torch.manual_seed(0)
    exec(compile(code, "page", "exec"), names)  # noqa: S102 - the page's own code
    return names


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_notebook_has_no_outputs(notebook):
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 2
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_the_notebook_and_the_page_on_audits_run_and_are_one(notebook, tmp_path, monkeypatch):
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    lines = [line for line in script("own_model.md").splitlines() if line]
    assert [line for cell in cells for line in cell.splitlines() if line] == lines
    names = run("\n".join(cells), tmp_path, monkeypatch)
    assert list(names["audit"].table["model"])[:3] == ["Before", "Retraining", "SCRUB"]
    assert "SCRUB: " in (tmp_path / "audit.html").read_text()
    assert set(pd.read_csv(tmp_path / "audit" / "verdicts.csv")["method"]) > {"scrub", "shift"}


def test_the_page_on_classes_runs(tmp_path, monkeypatch):
    names = run(script("forget_class.md"), tmp_path, monkeypatch)
    audit, labels = names["audit"], names["labels"]
    assert audit.images["forget"] == (labels == 5).sum()
    assert "test_forget" in set(audit.evaluation["subset"])


def test_the_page_on_scripts_runs(tmp_path, monkeypatch):
    names = run(script("own_script.md"), tmp_path, monkeypatch)
    saved = torch.load(tmp_path / "unlearned.pt", weights_only=True)
    assert isinstance(names["unlearned"], nn.Sequential)
    assert saved.keys() == names["model"].state_dict().keys()


def test_the_workflow_s_config_on_the_page_on_classes_is_one():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config |= yaml.safe_load(block("forget_class.md", "class.yaml"))
    assert load_config(config).forgetting.selection == "class"


def test_the_audit_yaml_of_the_page_is_one(tmp_path):
    path = tmp_path / "audit.yaml"
    path.write_text(block("own_model.md", "audit.yaml"))
    assert read_audit(path).arrays.test == ["test_images.npy", "test_labels.npy"]


def test_the_page_on_scripts_names_every_method():
    from remibench.components.registry import methods

    page = (DOCS / "own_script.md").read_text()
    missing = [name for name in methods() if f"`{name}`" not in page]
    assert missing == ["remi_whitebox_published"]  # which reproduces what was published
