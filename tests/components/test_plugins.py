"""Plug-ins: how they are found, what re-runs them, and what is said of those that break a contract.

That the templates are good ones, and run, is in test_docs.py.
"""

import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch
from support.configs import default
from support.smoke import ROOT
from support.synthetic import known_results

from remibench.analysis.results import COLORS, METHODS, PAPER_METHODS
from remibench.attacks import membership
from remibench.attacks.features import membership_features
from remibench.components import contracts, plugins, registry
from remibench.components.declarations import constant
from remibench.components.products import products
from remibench.config.model import config_model, load_config
from remibench.data import LoadOptions, load_dataset
from remibench.errors import RemibenchError
from remibench.evaluation.metrics import Evaluation, measure
from remibench.jobs.code_digest import code_digest
from remibench.jobs.provenance import plugin_digests
from remibench.models import ModelSpec, build_model
from remibench.planning.disk import disk_space
from remibench.planning.jobs import Job
from remibench.planning.plan import render_plan
from remibench.planning.timings import Record, Timings, planned_task
from remibench.planning.work import attack_size, count_work
from remibench.reporting.paper import figure06_mf_by_guide as figure06
from remibench.reporting.paper import table6_cross_method
from remibench.unlearning import run_method

GOOD = """
def unlearn(task, *, strength: Annotated[float, Field(gt=0)] = 0.5, kind: Literal["a", "b"] = "a"):
    '''Multiply the weights of the last layer.

    Args:
        task: The task.
        strength: By what they are
            multiplied.
        kind: Not used.
    '''
    task.model.head.weight.data *= strength
    return [{"epoch": 1, "seconds": 0.0}]
"""


@pytest.fixture
def write(tmp_path):
    """Write files of a plug-in folder; nothing of it is left active."""

    def into(folder="mine", /, **files):
        for name, text in files.items():
            path = tmp_path / folder / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        return str(tmp_path / folder)

    yield into
    plugins.activate([])
    for name in [name for name in sys.modules if name.startswith("remibench.")]:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def load(*folders, **changes):
    return load_config(default() | {"plugins": list(folders)} | changes)


def test_a_method_has_its_section_and_is_found_without_being_imported(write):
    folder = write(unlearning__shrink=GOOD, unlearning___helper="raise ValueError")
    given = {
        "methods": ["original", "shrink"],
        "controls": [],
        "unlearning": {"shrink": {"strength": 0.25}},
    }
    cfg = load(folder, **given)
    assert cfg.unlearning.parameters("shrink", "a", "b", 0.1) == {"strength": 0.25, "kind": "a"}
    section = type(cfg.unlearning.shrink)
    assert section.model_fields["strength"].description == "By what they are multiplied."
    assert "remibench.unlearning.shrink" not in sys.modules
    assert METHODS["shrink"] == "Shrink"
    assert "shrink" in list(METHODS)
    assert re.fullmatch("#[0-9a-f]{6}", COLORS["shrink"])
    assert COLORS["shrink"] == COLORS["shrink"] != COLORS["retrain"]
    with pytest.raises(
        RemibenchError, match=r"`unlearning\.shrink\.strength`: input should be gre"
    ):
        load(folder, unlearning={"shrink": {"strength": -1}})
    with pytest.raises(RemibenchError, match=r"'strenght' in `unlearning\.shrink`; did you mean"):
        load(folder, unlearning={"shrink": {"strenght": 1}})
    load_config(default())
    assert "shrink" not in METHODS
    with pytest.raises(RemibenchError, match="unknown name 'shrink'"):
        load_config(default() | {"methods": ["original", "shrink"], "controls": []})


def test_every_package_that_takes_plugins_has_a_contract():
    assert list(plugins.PACKAGES) == list(registry.CONTRACTS)


def test_guides_make_a_method_for_each_of_them_and_label_and_colour_are_shown(write):
    text = 'GUIDES = ("whitebox", "mine")\nLABEL = "Mine"\nCOLOUR = "#123456"\n' + GOOD
    attack = (
        "ACCESS = 'mine'\ndef fit_attack(members, nonmembers, *, label, seed, progress=None): ..."
    )
    attack += "\nload_attack = None"
    cfg = load(write(unlearning__guided=text, attacks__mine=attack), attacks=["mine", *BOTH])
    assert registry.methods()["guided_mine"] == ("guided", "mine")
    assert METHODS["guided_whitebox"] == "Mine (white-box)"
    assert cfg.adversaries.mf.mine.model_dump() == {}
    load(write("other", unlearning__plain=text.partition("\n")[2]))
    assert (METHODS["plain"], COLORS["plain"]) == ("Mine", "#123456")


def test_guided_methods_are_in_table_vi_by_their_guide_and_have_a_curve(write):
    """Judged by the other guide's MF alone; and a label that looks like a column's is no clash."""
    attack = "ACCESS = 'mine'\ndef fit_attack(): ...\nload_attack = None"
    guided = 'GUIDES = ("whitebox", "mine")\nLABEL = "After"\n' + GOOD
    folder = write(unlearning__guided=guided, unlearning__after=GOOD, attacks__mine=attack)
    plugins.activate([folder])
    methods = (*PAPER_METHODS, "guided_whitebox", "guided_mine", "after")
    results = known_results(methods=methods, ratios=(0.1, 0.25))
    paths = results.histories[results.histories["method"] == "remi_whitebox"]
    silent = paths.assign(method="after", mf_forget=float("nan"))
    own = [paths.assign(method=f"guided_{guide}") for guide in ("whitebox", "mine")]
    results = replace(results, histories=pd.concat([results.histories, *own, silent]))

    table = table6_cross_method.build(results)
    judges = table.groupby("method")["judge"].agg(set)
    assert judges["guided_whitebox"] == judges["remi_whitebox"] == {"blackbox"}
    assert judges["guided_mine"] == judges["after"] == {"whitebox", "blackbox"}
    wide = table6_cross_method.layout(table)
    assert wide.shape == (2 * 2, 5 + 2 + 5 + 2)
    assert list(wide).count("After") == 2  # ReMI and the plug-in of that name

    assert set(figure06.data(results)["curve"]) == {
        *("remi_whitebox", "remi_blackbox", "guided_whitebox", "guided_mine")
    }
    figure = figure06.draw(results)
    thick = {
        line.get_color(): line.get_linestyle()
        for line in figure.axes[0].lines
        if line.get_linewidth() == 1.5 and len(line.get_xdata()) == 3
    }
    styles = {"guided_whitebox": "-", "guided_mine": "-.", "remi_blackbox": "--"}
    assert {method: thick[COLORS[method]] for method in styles} == styles
    plt.close(figure)


BOTH = ["whitebox", "blackbox"]


def test_the_plan_of_a_plugin_follows_what_it_declares(write):
    cfg = load(
        str(ROOT / "docs/extend/templates"),
        datasets=["digits"],
        architectures=["mlp"],
        methods=["original", "retrain", "head_retrain"],
        attacks=["threshold", *BOTH],
        data={"image_size": 8},
    )
    cell = {"dataset": "digits", "architecture": "mlp", "seed": "0"}
    trained = planned_task(cfg, Job("train_model", {**cell, "role": "target"}, True))
    forgotten = {**cell, "method": "head_retrain", "ratio": "0.5"}
    fitted = {**cell, "adversary": "mia", "attack": "threshold"}
    jobs = [Job("unlearn", forgotten, True), Job("fit_attack", fitted, True)]
    records = [Record(trained, 1.0), Record(trained, 1000.0)]
    method, attack = (planned_task(cfg, job) for job in jobs)
    # One forward pass of half of the training set, against fifty training passes of all of it.
    assert method.work == pytest.approx(trained.work / 300, rel=0.01)
    assert 0 < attack.work < trained.work
    for task in (method, attack):
        seconds, quality = Timings(records).project(task)
        assert quality == "borrowed"
        assert 1 < seconds < 1000
    assert "guess" not in render_plan(cfg, jobs, records, 1)
    spec, roles = ModelSpec("mlp", 1, 8, 10, (0.5,), (0.5,)), defaultdict(lambda: 100)
    assert attack_size("threshold", spec) == 2
    assert disk_space(cfg, 2)["attacks"] > 0
    params = {"fit": {"epochs": None}}
    once = params | {"fit": {"epochs": 1}}
    works = [count_work("fit_attack", fitted, each, spec, roles) for each in (params, once)]
    assert works[0] == works[1]


def test_what_a_plugin_does_not_declare_is_guessed_and_the_plan_says_so(write):
    attack = "def fit_attack(members, nonmembers, *, label, seed, progress=None): ..."
    quiet = write(
        unlearning__quiet="def unlearn(task): ...",
        attacks__quiet=f"ACCESS = 'quiet'\n{attack}\nload_attack = None",
    )
    cfg = load(quiet, methods=["original", "retrain", "quiet"], attacks=["quiet", *BOTH])
    cell = {"dataset": "fmnist_embedded", "architecture": "cnn", "seed": "0"}
    trained = planned_task(cfg, Job("train_model", {**cell, "role": "target"}, True))
    job = Job("unlearn", {**cell, "method": "quiet", "ratio": "0.5"}, True)
    text = render_plan(cfg, [job], [Record(trained, 1.0), Record(trained, 1000.0)], 1)
    assert "unlearn quiet: the module declares no `passes`, so its work is a guess" in text
    assert planned_task(cfg, job).work == trained.work / 2  # as long as the target, without epochs
    spec = ModelSpec("cnn", 1, 64, 10, (0.5,), (0.5,))
    assert attack_size("quiet", spec) == attack_size("whitebox", spec) > 2


def test_passes_that_are_no_passes_name_the_file(write):
    folder = write(unlearning__odd="def unlearn(task): ...\ndef passes(*_): ...")
    cfg = load(folder, methods=["original", "odd"], controls=[])
    cell = {"dataset": "fmnist_embedded", "architecture": "cnn", "seed": "0"}
    job = Job("unlearn", {**cell, "method": "odd", "ratio": "0.5"}, True)
    with pytest.raises(
        RemibenchError, match=r"odd.py: `passes` returned None; it returns a Passes"
    ):
        planned_task(cfg, job)


def test_the_schema_knows_the_keys_of_plugins(write):
    command = [sys.executable, "-m", "remibench", "schema", write(unlearning__shrink=GOOD)]
    schema = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert '"Shrink"' in schema


@pytest.mark.parametrize("import_", ["from ._base import X", "import remibench.unlearning._base"])
def test_the_code_of_a_plugin_is_that_of_its_helpers_and_of_what_it_imports(
    write, tmp_path, import_
):
    script = tmp_path / "script.py"
    script.write_text("import remibench.errors\n")

    def digest(folder, base):
        text = f"{import_}\nfrom remibench.training import fit\n{GOOD}"
        files = {f"unlearning__{name}": text for name in ("first", "second")}
        plugins.activate([write(folder, unlearning___base=base, **files)])
        return [code_digest(script, *dynamic) for dynamic in ([], ["unlearning.first"])]

    plain, first = digest("a", "X = 1")
    assert digest("b", "X = 1") == [plain, first], "the place plays no part"
    assert digest("c", "X = 2")[0] == plain
    assert digest("d", "X = 2")[1] != first
    alone = code_digest(script, "unlearning.second")
    assert alone != first


@pytest.mark.parametrize("kind", sorted(plugins.PACKAGES))
def test_a_relative_import_is_of_the_folder_that_the_plugin_stands_for(write, tmp_path, kind):
    script = tmp_path / "script.py"
    script.write_text("")

    def digest(folder, base):
        files = {f"{kind}__mine": "from ._base import X\n", f"{kind}___base": base}
        plugins.activate([write(folder, **files)])
        return code_digest(script, f"{plugins.PACKAGES[kind]}.mine")

    assert digest("a", "X = 1") != digest("b", "X = 2")


@pytest.mark.parametrize(
    ("file", "text", "covered"),
    [
        ("unlearning__shown", "LABEL = {!r}\ndef unlearn(task): ...\n", False),
        ("unlearning__shown", "LABEL = {!r}\ndef unlearn(task): print(LABEL)\n", True),
        ("unlearning___shown", "LABEL = {!r}\n", True),
        ("metrics__shown", "LABEL = {!r}\ndef measure(evaluation): ...\n", True),
    ],
)
def test_declarations_are_left_out_where_they_only_declare(write, tmp_path, file, text, covered):
    script = tmp_path / "script.py"
    script.write_text("")
    kind, _, name = file.partition("__")

    def digest(folder, label):
        plugins.activate([write(folder, **{file: text.format(label)})])
        return code_digest(script, f"{plugins.PACKAGES[kind]}.{name}")

    assert (digest("a", "one") != digest("b", "two")) == covered


UNLEARN = "unlearning__bad"
BROKEN = {  # file, text, what is said of it
    "syntax": (UNLEARN, "def unlearn(:\n", "bad.py, line 1: invalid syntax"),
    "nothing": (UNLEARN, "x = 1", "bad.py: defines no `unlearn`; unlearning/bad.py needs"),
    "no function": (UNLEARN, "unlearn = print", "bad.py: defines no function `unlearn`"),
    "positional": (
        UNLEARN,
        "def unlearn(task, epochs: int = 3): ...",
        r"bad.py, line 1: `unlearn` takes \(task, \*, …\)",
    ),
    "any keyword": (UNLEARN, "def unlearn(task, **given): ...", "takes .task, .*given"),
    "no type": (UNLEARN, "def unlearn(task, *, a=1): ...", "`a` of `unlearn` needs a type and a"),
    "no default": (UNLEARN, "def unlearn(task, *, a: int): ...", "`a` .* needs a type and a def"),
    "default": (
        UNLEARN,
        "def unlearn(task, *, a: Positive = -1): ...",
        "`a` of `unlearn`: the default: input should be greater than 0; got -1",
    ),
    "type": (UNLEARN, "def unlearn(task, *, a: open('x') = 1): ...", 'cannot read "open'),
    "default as text": (
        UNLEARN,
        'def unlearn(task, *, a: Positive = "5"): ...',
        "`a` of `unlearn`: the default: input should be a valid integer; got '5'",
    ),
    "private": (UNLEARN, "def unlearn(task, *, _a: int = 1): ...", "`_a` begins with _; rename it"),
    "of pydantic": (UNLEARN, "def unlearn(task, *, copy: int = 1): ...", "`copy` is taken; rename"),
    "no progress": (
        "attacks__bad",
        "ACCESS = 'bad'\ndef fit_attack(members, nonmembers, *, label, seed): ...\nload_attack = 1",
        "bad.py, line 2: `fit_attack` takes no `progress`; it is called with",
    ),
    "reserved": (
        UNLEARN,
        "def unlearn(task, *, per_cell_values: int = 1): ...",
        "`per_cell_values` is t",
    ),
    "guide": (UNLEARN, f"GUIDES = ('none',)\n{GOOD}", "`GUIDES` lists attacks .*got .'none'"),
    "colour": (UNLEARN, f"COLOUR = 'red'\n{GOOD}", "`COLOUR` is a colour, .*got 'red'"),
    "label": (UNLEARN, f"LABEL = str(1)\n{GOOD}", "`LABEL` is text, written out; got None"),
    "search": (UNLEARN, f"SEARCH = {{'a': 1}}\n{GOOD}", "`SEARCH` is {parameter: .values.}"),
    "taken": ("unlearning__fisher", GOOD, r"the name 'fisher' is taken by \S*/fisher.py; rename"),
    "entry taken": ("unlearning__remi_whitebox", GOOD, r"'remi_whitebox' is taken by \S*/remi.py"),
    "the target": ("unlearning__original", GOOD, "'original' is taken by the target itself"),
    "no name": ("unlearning__a-b", GOOD, "a-b.py: no module's name"),
    "no metric": ("metrics__bad", "x = 1", "bad.py: defines no `measure`"),
    "no dataset": ("data__bad", "INFO = 1", "bad.py: defines no `load`"),
    "no backbone": ("models__bad", "x = 1", "bad.py: defines no `build_backbone`"),
    "size": (
        "models__bad",
        "MIN_IMAGE_SIZE = '3'\ndef build_backbone(): ...",
        "`MIN_IMAGE_SIZE` is a number of pixels",
    ),
    "attack": (
        "attacks__bad",
        "ACCESS = 'good'\ndef fit_attack(): ...\nload_attack = 1",
        "`ACCESS` is the attack's name; write ACCESS = 'bad'",
    ),
    "no loader": ("attacks__bad", "ACCESS = 'bad'\ndef fit_attack(): ...", "no `load_attack`"),
    "no figure": ("reporting__figure_bad", "x = 1", "figure_bad.py: defines no `draw`"),
    "no table": ("reporting__table_bad", "TITLE = ''", "table_bad.py: defines no `build`"),
    "title": ("reporting__figure_bad", "TITLE = 1\ndraw = None", "`TITLE` is text, written out"),
    "inputs": (
        "reporting__figure_bad",
        "INPUTS = ('evaluation',)\ndraw = None",
        "`INPUTS` lists some of across_seeds, curves, forget_images, hyperparameters; got",
    ),
    "variants": (
        "reporting__figure_bad",
        "VARIANTS = {'table_bad': {}}\ndraw = None",
        "`VARIANTS` maps names that begin with figure to options",
    ),
    "by ratio": (
        "reporting__figure_bad",
        "TITLE = 'A'\nVARIANTS = {'figure_bad': {}}\nBY_RATIO = {'table_bad': {}}\ndraw = None",
        "`BY_RATIO` maps names that begin with figure to options",
    ),
    "option": (
        "reporting__figure_bad",
        "TITLE = '{ratio}'\nVARIANTS = {'figure_bad': {}}\ndraw = None",
        "`TITLE` names 'ratio' in braces",
    ),
    "variant taken": (
        "reporting__figure07_mia_before_after",
        "draw = None",
        "the name 'figure07_mia_before_after' is taken by remibench.*figure03_mia",
    ),
    "neither": ("reporting__bad", "x = 1", "bad.py: a figure's name begins with figure"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_plugin_that_breaks_its_contract_is_named_with_the_config(write, name):
    file, text, message = BROKEN[name]
    with pytest.raises(RemibenchError, match=f"^config: .*{message}") as error:
        load(write(**{file: text}))
    assert f"mine/{file.replace('__', '/')}.py" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_empty_init_is_ignored_and_a_whole_number_is_a_float(write):
    text = "def unlearn(task, *, a: float = 1): ..."
    folder = write(unlearning__whole=text)
    init = Path(folder, "unlearning/__init__.py")
    init.write_text("\n")
    cfg = load(folder)
    value = cfg.unlearning.whole.a
    assert (value, type(value)) == (1.0, float)
    init.write_text("x = 1")
    with pytest.raises(RemibenchError, match=r"mine/unlearning/__init__\.py: .*delete the file"):
        load(folder)


@pytest.mark.parametrize("value", [None, [1, 2], [1], "a,b", "a/b", "{a}", "", 5])
def test_a_variant_may_have_any_value_of_its_parameter(write, value):
    text = """
        def unlearn(task, *, a: str | None = "x", b: list[int] | int | str | None = 1): ...
    """
    folder, name = write(unlearning__odd=text), "b" if value in ([1, 2], [1], 5) else "a"
    cfg = load(folder, variants={"odd": {name: [value]}}, data={"swap_target_and_shadow": True})
    assert cfg.parameters("odd~01", "fmnist_embedded", "cnn", 0.1)[name] == value


def test_a_folder_that_is_none_or_holds_no_parts_is_named(write, tmp_path):
    with pytest.raises(RemibenchError, match=r"^config: `plugins`: \S*nowhere is no folder"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(
        RemibenchError, match=r"mine has none of the folders across_seeds, .*NAME\.py"
    ):
        load(write(shrink=GOOD))
    with pytest.raises(RemibenchError, match="`plugins`: input should be a valid list; got 'mine'"):
        load_config(default() | {"plugins": "mine"})
    folders = [write(name, unlearning__shrink=GOOD) for name in ("a", "b")]
    with pytest.raises(RemibenchError, match=r"b/\S*shrink.py: the name 'shrink' is .*a/unlearni"):
        load(*folders)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("pass", "`unlearn` returned None; it returns one record of numbers per epoch"),
        ("return []", r"`unlearn` returned \[\]"),
        ("return [{'epoch': 1}]", r"`unlearn` returned \[\{'epoch': 1\}\]"),
        ("task.model.train(); return [{'epoch': 1, 'seconds': 0}]", "in training mode"),
        (
            "import torch; task.model.head = torch.nn.utils.skip_init(torch.nn.Linear, 512, 7); "
            "[weight.data.zero_() for weight in task.model.head.parameters()]; "
            "return [{'epoch': 1, 'seconds': 0}]",
            r"`unlearn` changed the shape of 'head\.bias'",
        ),
    ],
)
def test_a_method_that_leaves_something_else_is_named(write, task, body, message):
    plugins.activate([write(unlearning__bad=f"def unlearn(task): {body}")])
    with pytest.raises(RemibenchError, match=rf"^\S*mine/unlearning/bad\.py: .*{message}"):
        run_method("bad", task, {})


@pytest.mark.parametrize(
    "row", ["'test', 'x', 'high'", "'test', 'x', None", "'train', 'x', 1.0", "'x', 1.0"]
)
def test_a_metric_that_yields_no_number_is_named(write, row):
    plugins.activate([write(metrics__bad=f"def measure(evaluation): yield {row}")])
    subsets = dict.fromkeys(("forget", "retain", "test"))
    given = Evaluation(None, None, None, subsets, None, {}, {}, None, {}, 0)
    with pytest.raises(RemibenchError, match=r"^\S*mine/metrics/bad\.py: `measure` yielded \('"):
        measure("bad", given)


def test_a_metric_that_returns_nothing_is_named(write):
    plugins.activate([write(metrics__bad="def measure(evaluation): evaluation")])
    given = Evaluation(None, None, None, {}, None, {}, {}, None, {}, 0)
    with pytest.raises(RemibenchError, match=r"bad\.py: `measure` returned None; it yields \(sub"):
        measure("bad", given)


def test_the_captions_of_figures_and_tables_may_hold_braces_and_edits_reach_provenance(write):
    """Through Snakemake: nothing runs."""
    text = r'''
        r"""The distance $D_{f}$ {0}.

        Over ${n}$ seeds, {unlearned}.
        """
        TITLE = ""
        draw = build = layout = explain = None
    '''

    def dry_run(folder, target):
        command = [sys.executable, "-m", "snakemake", "-n", "--forcerun", target, "--configfile"]
        command += ["config/smoke.yaml", "--config", f"plugins=['{folder}']", "results=nowhere"]
        done = subprocess.run([*command, "--", target], cwd=ROOT, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    folder = write(reporting__figure_distance=text, reporting__table_distance=text)
    code, output = dry_run(folder, "all")
    assert code == 0, output
    assert "wildcards: product=figure_distance" in output
    assert "wildcards: product=table_distance" in output
    other = write("other", reporting__figure07_mia_before_after=text)
    code, output = dry_run(other, "all")
    assert code != 0
    assert re.search(
        r"figure07_mia_before_after\.py: the name .* is taken by \S*figure03_mia", output
    )


def test_the_digests_of_plugins_are_those_of_their_files(write):
    plugins.activate([write("a", reporting__figure_x="x = 1", reporting___helper="y = 1")])
    first = plugin_digests()
    plugins.activate([write("b", reporting__figure_x="x = 2", reporting___helper="y = 1")])
    second = plugin_digests()
    assert [Path(name).name for name in first] == ["_helper.py", "figure_x.py"]
    assert [a == b for a, b in zip(first.values(), second.values(), strict=True)] == [True, False]


@pytest.mark.parametrize("value", ["logits[:, 0]", "loss * 0", "loss[:, 0] + 2", "loss[0, 0] / 0"])
def test_an_attack_that_gives_no_probabilities_is_named(write, value):
    text = f"""
        import torch
        class Attack(torch.nn.Module):
            def forward(self, features):
                return features.{value}
    """
    plugins.activate([write(attacks__bad=text)])
    from remibench.attacks.bad import Attack

    features = membership_features(
        torch.linspace(-3, -2, 20).view(5, 4), torch.ones(5, 2), torch.zeros(5, dtype=torch.int64)
    )
    with pytest.raises(RemibenchError, match=r"^\S*mine/attacks/bad\.py: the attack returned"):
        membership(Attack(), features)


@pytest.mark.parametrize(
    ("kind", "function", "ask"),
    [
        ("data", "load", lambda: load_dataset("bad", LoadOptions([]))),
        (
            "models",
            "build_backbone",
            lambda: build_model(ModelSpec("bad", 1, 8, 2, (0.5,), (0.5,))),
        ),
    ],
)
def test_what_returns_something_else_is_named(write, kind, function, ask):
    text = f"""
        from remibench.data import fmnist
        INFO = fmnist.INFO
        def {function}(*given): return 1
    """
    plugins.activate([write(**{f"{kind}__bad": text})])
    with pytest.raises(
        RemibenchError, match=rf"^\S*mine/{kind}/bad\.py: `{function}` returned 1; it"
    ):
        ask()


def test_an_error_in_a_plugin_names_its_file_and_line(write, tmp_path):
    folder = write(metrics__bad="def measure(evaluation):\n    return 1 / 0\n")
    code = f"""
from types import SimpleNamespace
from remibench.jobs.script import job
with job(SimpleNamespace(
    log=[{str(tmp_path / "a.log")!r}], input=[], output=[], params=dict(), rule="evaluate",
    threads=1, config=dict(plugins=[{folder!r}], run=None),
)):
    from remibench.evaluation.metrics import bad
    bad.measure(None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert re.match(
        rf"rule evaluate: {folder}/metrics/bad\.py, line 2: ZeroDivisionError: division",
        done.stderr,
    ), done.stderr
    assert done.stderr.count("\n") == 1


def test_the_config_needs_no_torch_with_plugins_either(write):
    folder = write(unlearning__shrink=f"import torch\n{GOOD}")
    settings = default() | {"methods": ["original", "shrink"], "controls": [], "plugins": [folder]}
    code = f"""
import sys
from remibench.config.model import load_config
from remibench.jobs.code_digest import code_digest
load_config({settings!r})
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_built_in_sections_are_made_of_the_same_signatures():
    fields = config_model().model_fields["unlearning"].annotation.model_fields
    assert fields["remi_whitebox"].annotation is fields["remi_blackbox"].annotation
    assert "per_cell_values" not in fields["retrain"].annotation.model_fields


def test_every_component_of_the_package_keeps_what_is_asked_of_plugins():
    for kind in registry.CONTRACTS:
        for name, file in registry.components(kind).items():
            contracts._check(kind, name, file)


def test_the_order_of_display_is_declared_and_what_has_none_follows(write):
    plugins.activate([write(unlearning__first="ORDER = 15\n" + GOOD, unlearning__last=GOOD)])
    shown = list(METHODS)
    assert shown[:4] == ["original", "retrain", "first", "fisher"]
    assert shown.index("last") > shown.index("ssd")
    declared = [constant(f, "ORDER") for f in registry.components("unlearning").values()]
    places = [place for place in declared if place is not None]
    assert len(places) == len(set(places)) == len(declared) - 1


def test_every_guide_has_its_colour(write):
    colours = 'GUIDES = ("whitebox", "blackbox")\nCOLOUR = {"whitebox": "#123456"}\n'
    plugins.activate([write(unlearning__guided=colours + GOOD)])
    assert COLORS["guided_whitebox"] == "#123456"
    assert COLORS["guided_blackbox"] not in {"#123456", ""}
    with pytest.raises(RemibenchError, match=r"`COLOUR` is a colour, .* or one for each guide"):
        load(write("other", unlearning__bad=colours.replace("#", "") + GOOD))


def test_a_figure_describes_itself_and_its_variants(write):
    text = '''
        """What is drawn.

        How to read it.
        """
        TITLE = "Rates, {percent}"
        INPUTS = ("hyperparameters",)
        VARIANTS = {"figure_rates": {"ratio": 0.1}, "figure_rates_half": {"ratio": 0.5}}
        def draw(results, ratio): ...
    '''
    plain = '"""Plain.\n"""\ndraw = None'
    plugins.activate([write(reporting__figure_rates=text, reporting__figure9_plain=plain)])
    made = products()
    one, two, other = (made[f"figure{name}"] for name in ("_rates", "_rates_half", "9_plain"))
    assert (one.label, two.label, other.label) == ("Rates, 10%", "Rates, 50%", "9: Plain")
    assert one.module == two.module == "remibench.reporting.figure_rates"
    assert (two.options, two.inputs, other.inputs) == ({"ratio": 0.5}, ("hyperparameters",), ())
    assert two.caption == "What is drawn.\n\nHow to read it."
    assert "remibench.reporting.figure_rates" not in sys.modules


@pytest.mark.parametrize(
    ("ratios", "names"),
    [
        ((0.1, 0.5), {"figure_rates", "figure_rates_half"}),
        ((0.1, 0.125), {"figure_rates", "figure_rates_12_5pct"}),
        ((1.0,), {"figure_rates_100pct"}),
    ],
)
def test_a_figure_is_made_at_the_ratios_that_were_configured(write, ratios, names):
    text = """
        TITLE = "Rates, {percent}"
        VARIANTS = {"figure_rates": {"ratio": 0.1}, "figure_rates_half": {"ratio": 0.5}}
        BY_RATIO = {"figure_rates": {}}
        draw = None
    """
    plugins.activate([write(reporting__figure_rates=text)])
    made = {name: each for name, each in products(ratios).items() if "rates" in name}
    assert set(made) == names
    assert {each.options["ratio"] for each in made.values()} == set(ratios)
    assert {each.label for each in made.values()} == {f"Rates, {100 * r:g}%" for r in ratios}


def test_the_papers_figures_are_drawn_at_any_ratio():
    at_the_papers = products([0.01, 0.1, 0.25, 0.5])
    assert list(at_the_papers) == list(products())
    other = products([0.2])
    gone = set(at_the_papers) - set(other)
    assert gone == {
        *(f"figure{n:02}_mia_before_after" for n in (3, 7, 8, 9)),
        *(f"figure{n}_blackbox_mia" for n in (10, 11, 12, 13)),
        *(f"figure{n:02}_mf_by_guide" for n in (6, 14, 15, 16)),
    }
    assert set(other) - set(at_the_papers) == {
        *("figure_whitebox_mia_20pct", "figure_blackbox_mia_20pct", "figure_mf_by_guide_20pct")
    }
    assert other["figure_whitebox_mia_20pct"].title == "MIA before and after, white-box, 20%"
