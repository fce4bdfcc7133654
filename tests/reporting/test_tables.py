"""Formatted tables: what a reader of a page and of LaTeX finds in them."""

import re
import shutil
import subprocess

import matplotlib
import numpy as np
import pandas as pd
import pytest
from support.pages import note, shown
from support.synthetic import known_results, synthetic_results

from remibench.analysis.quantities import mathematical, quantity
from remibench.analysis.results import PAPER_METHODS
from remibench.components.display import ARCHITECTURES, DATASETS, cell_label
from remibench.components.products import products
from remibench.components.registry import controls
from remibench.reporting.beyond import table_verdicts
from remibench.reporting.html_page import page
from remibench.reporting.render import make_product, use_theme, write_formatted, write_page
from remibench.reporting.run.landing import landing
from remibench.reporting.run.summary import summarise_results

LINES = [
    ("fmnist", "cnn", "10%", "Fisher", "12.5 ± 0.1 [3.0]"),
    ("fmnist", "cnn", "10%", "Retraining", "−2.5"),
    ("fmnist", "vgg19", "10%", "Fisher", "not run"),
    ("mine", "vgg19", "10%", "Fisher", "1.0"),
]
WIDE = pd.DataFrame(
    LINES, columns=["dataset", "architecture", "forget ratio", "method", "gap of D_f"]
)


@pytest.fixture
def written(tmp_path):
    def write(wide, title="Gaps on D_f", explanation="Of D_f & D_r, 5 % of a_b."):
        paths = {suffix: tmp_path / f"table_my_gaps.{suffix}" for suffix in ("tex", "html")}
        write_formatted(
            wide, title, explanation, **{k: str(p) for k, p in paths.items()}
        )  # as jobs
        return paths["tex"].read_text(), paths["html"].read_text()

    return write


def lines(tex):
    return [
        line.rstrip("\\ ") for line in tex.splitlines() if "&" in line and "caption" not in line
    ]


def test_an_axis_with_one_value_is_a_sentence_and_no_column(written):
    tex, html = written(WIDE)
    assert list(shown(html)) == ["dataset", "architecture", "method", "gap of D_f"]
    assert note(html).startswith("All lines: 10% forgotten. Of D_f")
    assert "forget ratio" not in tex
    tex, html = written(WIDE.head(1))
    assert "forget ratio" in list(shown(html)), "a single line says what it is of"


def test_pages_about_the_run_drop_what_is_constant_as_well(tmp_path):
    table = WIDE.head(2).assign(model="target")
    table.loc[:, "forget ratio"] = np.nan  # of no model in it
    write_page(tmp_path / "a.html", table, "Trainings", "From training.csv.")
    text = (tmp_path / "a.html").read_text()
    assert list(shown(text)) == ["method", "gap of D_f", "model"]
    assert note(text) == "All lines: Fashion-MNIST, CNN. From training.csv."


def test_what_was_run_nowhere_is_named_and_has_neither_column_nor_line(written):
    wide = pd.DataFrame(
        [
            ("fmnist", "10%", "accuracy", "1.0", "not run"),
            ("fmnist", "10%", "steps", "not run", "not run"),
            ("fmnist", "25%", "accuracy", "not run", "not run"),
            ("fmnist", "25%", "steps", "not run", "not run"),
        ],
        columns=["dataset", "forget ratio", "quantity", "Retraining", "Fisher"],
    )
    tex, html = written(wide)
    assert shown(html).to_numpy().tolist() == [
        ["10%", "accuracy", "1.0"],
        ["25%", "accuracy", "not run"],  # a cell says so
    ]
    assert note(html).endswith("Not run or not measured: Fisher; steps.")
    assert "steps" not in "".join(lines(tex))
    nothing = wide.assign(Retraining="not run")
    assert "Fisher" in shown(written(nothing)[1]), "not an empty table"


def test_latex_writes_an_axis_where_it_changes_and_pages_in_every_line(written):
    tex, html = written(WIDE)
    body = lines(tex)
    assert body[1:] == [
        "Fashion-MNIST & CNN & Fisher & 12.5~$\\pm$~0.1 [3.0]",
        " &  & Retraining & $-$2.5",
        " & VGG19 & Fisher & not run",
        "mine & VGG19 & Fisher & 1.0",
    ]
    assert shown(html)["dataset"].tolist() == ["Fashion-MNIST"] * 3 + ["mine"]


def test_latex_has_a_label_a_caption_and_mathematical_names(written):
    tex, _ = written(WIDE)
    assert r"\label{tab:table_my_gaps}" in tex
    assert r"\caption[Gaps on $D_f$]{Gaps on $D_f$. All lines: 10\% forgotten. " in tex
    assert r"$D_f$ \& $D_r$, 5 \% of a\_\allowbreak b." in tex
    assert "gap of $D_f$" in lines(tex)[0]
    columns = re.findall(r">\{\\ragged(left|right)", tex)
    assert columns == ["right", "right", "right", "left"]  # numbers are flush right


def test_a_long_table_has_its_caption_once(written):
    many = pd.concat([WIDE.assign(method=f"m{k}") for k in range(20)])
    tex, _ = written(many)
    assert "longtable" in tex
    assert tex.count(r"\caption") == tex.count(r"\label") == 1
    assert tex.count(r"\toprule") == 2  # the head is on every page


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex: texlive-latex-base")
@pytest.mark.parametrize("copies", [1, 30])
def test_latex_compiles_and_its_label_can_be_referred_to(written, tmp_path, copies):
    written(pd.concat([WIDE.assign(method=f"m_{k}") for k in range(copies)]))
    (tmp_path / "page.tex").write_text(
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{array,booktabs,longtable}"
        r"\begin{document}\input{table_my_gaps}See \ref{tab:table_my_gaps}.\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    for _ in range(2):
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, errors="replace"
        )
        assert done.returncode == 0, done.stdout[-2000:]
    assert "undefined" not in done.stdout


def test_the_verdict_comes_first():
    wide = table_verdicts.layout(table_verdicts.build(known_results()))
    columns = [column for column in wide if column not in ("dataset", "architecture")]
    assert columns[:3] == ["method", "forget ratio", "verdict"]


def test_negative_numbers_have_the_minus_sign_of_every_text():
    text = page(pd.DataFrame({"method": ["a"], "x": [-0.25]}), "", "", "name")
    assert shown(text)["x"].tolist() == ["−0.25"]
    assert "column <= 1 " in text, "the method stays in sight"


def test_names_are_those_that_a_person_writes():
    assert cell_label("fmnist", "cnn") == "Fashion-MNIST, CNN"
    assert [DATASETS[name] for name in ("cifar10", "stl10", "utkface", "mine")] == [
        *("CIFAR-10", "STL-10", "UTKFace", "mine")
    ]
    assert [ARCHITECTURES[name] for name in ("resnet18", "xception", "vgg19")] == [
        *("ResNet18", "Xception", "VGG19")
    ]


def test_a_quantity_has_one_name_with_its_unit():
    assert quantity("accuracy", "forget").title == "accuracy D_f, %"
    assert quantity("mia_whitebox_rate", "forget").title == "MIA rate D_f"
    assert mathematical("MIA rate D_f, L_G of a_b") == "MIA rate $D_f$, $L_G$ of a_b"


def config_of(seeds, outputs="logits"):
    return {"seeds": seeds, "adversaries": {"mia": {"whitebox": {"outputs": outputs}}}}


@pytest.mark.parametrize(("cells", "share"), [(1, ""), (2, " (2 of 2)")])
def test_the_landing_page_says_what_came_out_and_that_controls_forget_nothing(cells, share):
    methods, figure = ("original", "retrain", "fisher", "shift"), "<svg></svg>"
    results = synthetic_results(("fmnist",), ("cnn", "vgg19")[:cells], 20, (0.1,), methods)
    text = landing(results, config_of([0], "log_posteriors"), figure)
    assert f"leaks, keeps utility: Before{share}, Fisher{share}." in text
    assert "<th>The attacks read</th><td>log-posteriors: what changes no prediction" in text
    assert "<li>Controls have forgotten nothing, " in text
    of_others = {"seeds": [0], "adversaries": {"mia": {"mine": {"outputs": [1]}, "blackbox": {}}}}
    assert "The attacks read" not in landing(results, of_others, figure)
    alone = synthetic_results(("fmnist",), ("cnn",), 2, (0.1,), methods[:3])
    assert "<li>Controls have forgotten nothing, " not in landing(alone, config_of([0]), figure)


def test_the_landing_page_has_the_summary_the_figure_and_what_it_does_not_show():
    results = known_results()
    figure = '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg id="main"><text>a</text></svg>'
    text = landing(results, config_of([0, 1, 2]), figure)
    assert '<svg id="main"><text>a</text></svg>' in text
    assert "<?xml" not in text
    assert "<th>Seeds</th><td>3, each with models of its own; one split" in text
    assert "<td>1%, 10%, 25%, 50% of the training set</td>" in text
    assert "<caption>Fashion-MNIST (4,000 images), CNN</caption>" in text
    fisher = re.search("<tr><th>Fisher</th>(.*)</tr>", text)[1]
    assert "<td>0.810 ±\u00a00.025</td>" in fisher
    assert "not decided with" not in text
    few = landing(known_results(seeds=2), config_of([0, 1]), figure)
    assert "<li>2 of 16 verdicts are not decided with 2 seeds: " in few
    assert "Of the paper" in text
    alone = landing(known_results(methods=("original", "fisher")), config_of([0]), figure)
    assert "Retraining was not run" in alone


def test_the_printed_summary_fits_a_terminal_of_120_letters():
    lines = summarise_results(known_results()).splitlines()
    assert max(map(len, lines)) <= 120
    assert lines == [line.rstrip() for line in lines]
    head = next(place for place, line in enumerate(lines) if "accuracy D_f" in line)
    assert lines[head + 1].split() == ["%"] * 3
    assert lines[head + 2].startswith("Before")


HYPHEN = re.compile(r"(?<![\w–])-[\d.∞]|\de-\d")  # in place of a minus sign


@pytest.mark.parametrize(
    "product",
    [each for each in products().values() if each.kind == "table"],
    ids=lambda each: each.name,
)
def test_every_formatted_table_has_one_minus_sign(product, tmp_path):
    paths = {suffix: tmp_path / f"{product.name}.{suffix}" for suffix in ("csv", "tex", "html")}
    results = synthetic_results(("fmnist",), ("cnn",), 3, (0.1,), [*PAPER_METHODS, *controls()])
    make_product(product, results, **paths)
    html = paths["html"].read_text()
    texts = [note(html), *shown(html).astype(str).to_numpy().ravel(), paths["tex"].read_text()]
    assert [text for text in texts if HYPHEN.search(text)] == []
    if product.name == "table_gaps":
        assert any("−" in text for text in texts), "there are negative numbers"


def test_summaries_pages_and_axes_have_the_same_minus_sign():
    results = known_results()
    figure = '<svg id="main"></svg>'
    assert not HYPHEN.search(summarise_results(results))
    assert not HYPHEN.search(re.sub("<[^>]*>", "", landing(results, config_of([0]), figure)))
    assert HYPHEN.search("gap -0.1")
    assert HYPHEN.search("3e-08")
    assert not HYPHEN.search("1-2, x-1, −0.1")
    use_theme()
    assert matplotlib.rcParams["axes.unicode_minus"]
