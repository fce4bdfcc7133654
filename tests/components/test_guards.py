"""What plug-ins promise, checked when they run: one line that names the file, no wrong number."""

import copy
import re
import sys
from dataclasses import replace
from pathlib import Path
from textwrap import dedent, indent

import numpy as np
import pytest
import torch
from support.synthetic import synthetic_results

from remibench.analysis import gaps
from remibench.attacks import check_saved, fit_attack
from remibench.attacks.features import membership_features, model_features
from remibench.components import plugins, registry
from remibench.components.declarations import constant
from remibench.components.products import products
from remibench.controls import ControlTask, run_control
from remibench.data import LoadOptions, load_dataset
from remibench.errors import RemibenchError
from remibench.evaluation import across_seeds
from remibench.evaluation.metrics import Evaluation, measure, measure_all
from remibench.models import ModelSpec, build_model, check_classifier
from remibench.reporting.render import make_product
from remibench.selections import Images, forget_set
from remibench.unlearning import run_method


@pytest.fixture
def plugin(tmp_path):
    """Write one plug-in and activate it; gone afterwards."""
    files = []

    def write(kind, text, name="mine"):
        path = tmp_path / "plugins" / kind / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        files.append(path)
        plugins.activate([tmp_path / "plugins"])
        return path

    yield write
    plugins.activate([])
    for name in [name for name in sys.modules if name.startswith("remibench.")]:
        if getattr(sys.modules[name], "__file__", None) in set(map(str, files)):
            del sys.modules[name]


def refused(path, message):
    """The one line that names the plug-in."""
    return pytest.raises(RemibenchError, match=rf"^{re.escape(str(path))}: .*{message}[^\n]*$")


@pytest.fixture
def evaluation(model, data):
    images, labels = data
    features = model_features(model, images, labels, "fp32")
    kinds = {"forget": range(4), "retain": range(4, 16), "test": range(16, 24)}
    return Evaluation(
        model=model,
        images=images,
        labels=labels,
        subsets={name: torch.tensor(at) for name, at in kinds.items()},
        features=features,
        scores={"mia_whitebox": torch.rand(24, generator=torch.Generator().manual_seed(0))},
        cost={"seconds": 1.5, "epochs": 3},
        before=lambda: features,
        training={"precision": "fp32", "batch_size": 8, "learning_rate": 0.01}
        | dict.fromkeys(("momentum", "weight_decay"), 0.0),
        seed=7,
    )


# Metrics


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("accuracy", "accuracy"),
        ("efficacy", "efficacy"),
        ("mia_whitebox_rate", "membership"),
        ("mf_loss_threshold_auc", "membership"),  # of an attack that is no part of this run
        ("calibrated_blackbox_tpr_at_1pct_low", "matched_points"),
        ("tow", "table_gaps"),
        ("log10_efficacy", "table_gaps"),
    ],
)
def test_a_name_that_another_metric_owns_is_refused_even_where_that_is_not_measured(
    plugin, evaluation, name, owner
):
    path = plugin("metrics", f"def measure(evaluation): yield 'forget', {name!r}, 0.5")
    with refused(path, f"`measure` yielded '{name}', which is a name of the metric {owner}"):
        measure("mine", evaluation)


def test_two_metrics_of_one_name_are_refused(plugin, evaluation):
    text = "def measure(evaluation): yield 'forget', 'quality', 0.5"
    plugin("metrics", text)
    path = plugin("metrics", text, "other")
    with refused(path, "'quality' of forget, as the metric mine does: they would be averaged"):
        measure_all(["accuracy", "mine", "other"], evaluation)
    twice = plugin("metrics", f"{text}; yield 'forget', 'quality', 0.7", "twice")
    with refused(twice, "'quality' of forget twice"):
        measure("twice", evaluation)


def test_rows_keep_the_order_of_the_config(plugin, evaluation):
    plugin("metrics", "def measure(evaluation): yield '', 'quality', 0.5")
    names = ["mine", "accuracy", "cost"]
    assert measure_all(names, evaluation) == [
        row for name in names for row in measure(name, evaluation)
    ]


def test_every_name_of_the_package_is_declared_by_its_module_and_by_no_other(evaluation):
    for name in registry.components("metrics"):
        declared = constant(registry.components("metrics")[name], "NAMES")
        assert declared, name
        for _, metric, _ in measure(name, replace(evaluation, published=0.25)):
            assert registry.metric_owner(metric), metric
            assert any(
                re.fullmatch(each.replace("{attack}", r"\w+").replace("*", ".*"), metric)
                for each in declared
            ), (name, metric)
    assert {gaps.LOG_EFFICACY, *gaps.TUGS_OF_WAR} == set(registry.DERIVED)
    assert registry.metric_owner("my_own_rate") is None


CHANGES = {
    "the weights": ("evaluation.model.head.weight.data.zero_()", r"evaluation\.model \(head\.wei"),
    "a buffer": ("next(iter(evaluation.model.buffers())).add_(0)", None),
    "a score in place": ("evaluation.scores['mia_whitebox'].zero_()", r"evaluation\.scores\['mi"),
    "the order": ("evaluation.scores['mia_whitebox'].numpy().sort()", r"evaluation\.scores"),
    "features": ("evaluation.features.logits.mul_(2)", r"evaluation\.features\.logits"),
    "labels": ("evaluation.labels.fill_(0)", r"evaluation\.labels"),
    "images": ("evaluation.images.zero_()", r"evaluation\.images"),
    "subsets": ("evaluation.subsets['forget'].add_(1)", r"evaluation\.subsets\['forget'\]"),
    "the mode": ("evaluation.model.train()", "left the model in training mode"),
    "torch's generator": ("torch.rand(3)", "global random generator of torch"),
    "numpy's generator": ("np.random.rand(3)", "global random generator of numpy"),
    "Python's generator": ("random.random()", "global random generator of Python's"),
    "nothing": ("torch.rand(3, generator=torch.Generator().manual_seed(1))", None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_metric_that_changes_what_is_measured_is_refused(plugin, evaluation, change):
    line, message = CHANGES[change]
    path = plugin(
        "metrics",
        f"""
        import random
        import numpy as np
        import torch
        @torch.no_grad()
        def measure(evaluation):
            {line}
            yield "forget", "quality", 0.5
        """,
    )
    if message is None:
        assert measure("mine", evaluation) == [("forget", "quality", 0.5)]
    else:
        with refused(path, message):
            measure("mine", evaluation)


def test_metrics_across_seeds_are_held_to_the_same(plugin):
    kinds = {name: np.arange(4) for name in ("forget", "retain", "test", "out_of_sample")}
    given = across_seeds.Comparison(np.zeros((4, 4)), np.ones((4, 4)), kinds)
    path = plugin("across_seeds", "def measure(comparison): yield 'forget', 'klom', 1.0")
    with refused(path, "'klom' of forget, as another metric does"):
        across_seeds.measure_all(["klom", "mine"], given)
    path = plugin("across_seeds", "def measure(comparison): yield 'train', 'x', 1.0", "odd")
    with refused(path, "yielded"):
        across_seeds.measure_all(["odd"], given)
    plugin(
        "across_seeds",
        "def measure(comparison): comparison.unlearned[:] = 0; yield 'forget', 'x', 1.0",
        "zero",
    )
    with pytest.raises(ValueError, match="read-only"):
        across_seeds.measure_all(["zero"], given)


# Methods and controls


HISTORIES = {
    "epochs from 0": ("[{'epoch': e, 'seconds': 0.0} for e in range(3)]", "its epochs 0, 1, 2;"),
    "epochs from 0 as they end": (
        "[{'epoch': e, 'seconds': 0.0, **task.snapshot()} for e in range(3)]",
        "its epochs 0, 1, 2;",
    ),
    "an epoch twice": ("[{'epoch': 1, 'seconds': 0.0}] * 2", "its epochs 1, 1;"),
    "an epoch left out": ("[{'epoch': e, 'seconds': 0.0} for e in (1, 3)]", "its epochs 1, 3;"),
    "many": ("[{'epoch': 2 * e, 'seconds': 0.0} for e in range(9)]", "its epochs 0, 2, 4, 6, …;"),
    "text": ("[{'epoch': 1, 'seconds': '0.1'}]", "one record of numbers per epoch"),
    "seconds since the start": (
        "[{'epoch': e, 'seconds': 1e3 * e} for e in (1, 2)]",
        r"recorded 3e\+03 s, of .* s that it took",
    ),
    "seconds below 0": ("[{'epoch': 1, 'seconds': -0.5}]", "recorded -0.5 s"),
    "good": ("[{'epoch': e, 'seconds': 0.0} for e in (1, 2, 3)]", None),
    "the target first": (
        "[before, *({'epoch': e, 'seconds': 0.0, **task.snapshot()} for e in (1, 2))]",
        None,
    ),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_the_history_of_a_method_is_held_to_its_form(plugin, task, history):
    returned, message = HISTORIES[history]
    path = plugin(
        "unlearning",
        f"""
        def unlearn(task):
            before = {{"epoch": 0, "seconds": 0.0, **task.snapshot()}}
            task.model.head.weight.data *= -1.0
            return {returned}
        """,
    )
    if message is None:
        assert len(run_method("mine", task, {})) == 3
    else:
        with refused(path, message):
            run_method("mine", task, {})


CALLS = {
    "unlearn": ("unlearning", "return [{'epoch': 1, 'seconds': 0.0}]"),
    "alter": ("controls", "return {}"),
}


@pytest.mark.parametrize("function", CALLS)
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("task.model.train()", "left the model in training mode"),
        ("task.model.head = zeros(512, 7)", "changed the shape of 'head"),
        ("task.model.register_buffer('more', torch.zeros(3))", "changed the shape of 'more'"),
        ("torch.rand(1)", "global random generator of torch"),
    ],
)
def test_a_model_that_others_cannot_use_is_refused(plugin, task, function, line, message):
    kind, returned = CALLS[function]
    path = plugin(
        kind,
        f"""
        import torch
        def zeros(width, classes):
            head = torch.nn.utils.skip_init(torch.nn.Linear, width, classes)
            for weight in head.parameters():
                weight.data.zero_()
            return head
        def {function}(task):
            task.model.head.weight.data *= 2
            {line}
            {returned}
        """,
    )
    with refused(path, f"`{function}` .*{message}"):
        if kind == "unlearning":
            run_method("mine", task, {})
        else:
            given = ControlTask(task.model, task.spec, task.images[:4], task.labels[:4], "fp32")
            run_control("mine", given)


def test_a_method_that_changes_a_copy_is_refused(plugin, task):
    path = plugin(
        "unlearning",
        """
        import copy
        def unlearn(task):
            model = copy.deepcopy(task.model)
            model.head.weight.data.zero_()
            return [{"epoch": 1, "seconds": 0.0}]
        """,
    )
    with refused(path, "left every weight as it was; change task.model in place"):
        run_method("mine", task, {})


# Attacks


ATTACK = """
    import torch
    from torch import nn
    ACCESS = "mine"
    class Attack(nn.Module):
        def __init__(self, shift=0.0):
            super().__init__()
            self.shift = shift
        def forward(self, features):
            return torch.sigmoid(self.shift - features.loss[:, 0])
        def save(self, path):
            open(path, "w").close()
    def fit_attack(members, nonmembers, *, label, seed, progress=None):
        {line}
        return Attack(1.0).eval(), []
    def load_attack(path):
        return Attack({loaded}).eval()
"""


def features_of(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(8, 4, generator=generator)
    return membership_features(
        logits, torch.rand(8, 5, generator=generator), torch.arange(8) % 4, torch.ones(4, 5)
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("members.logits.zero_()", r"`fit_attack` changed members\.logits"),
        ("torch.rand(1)", "global random generator of torch"),
        ("return Attack(1.0), []", "returns .attack, history., the attack in evaluation mode"),
        ("return (Attack(1.0).eval(),)", "returns .attack, history."),
        ("pass", None),
    ],
)
def test_an_attack_is_fitted_without_a_trace(plugin, line, message):
    path = plugin("attacks", ATTACK.format(line=line, loaded="1.0"))
    given = (features_of(0), features_of(1))
    if message is None:
        assert not fit_attack("mine", *given, label="x", seed=1).training
    else:
        with refused(path, message):
            fit_attack("mine", *given, label="x", seed=1)


def test_an_attack_that_is_saved_in_part_is_refused(plugin, tmp_path, monkeypatch):
    path = plugin("attacks", ATTACK.format(line="pass", loaded="0.0"))
    attack = fit_attack("mine", features_of(0), features_of(1), label="x", seed=1)
    module = sys.modules["remibench.attacks.mine"]
    monkeypatch.setattr("remibench.attacks.load_attack", module.load_attack)
    with refused(path, "`load_attack` reads another attack than `save` wrote"):
        check_saved(attack, tmp_path / "a", features_of(2))
    monkeypatch.setattr("remibench.attacks.load_attack", lambda _: copy.deepcopy(attack))
    check_saved(attack, tmp_path / "a", features_of(2))


# Architectures


BACKBONES = {
    "the batch's mean": ("return (x - x.mean(0)).flatten(1)", "", "depend on the other images"),
    "a plain attribute": (
        "return (x * self.factor.to(x.device)).flatten(1)",
        "self.factor = torch.rand(1) + 2",
        "a model read from its checkpoint computes other logits",
    ),
    "numpy's generator": (
        "return x.flatten(1)",
        "np.random.rand()",
        "`build_backbone` drew from the global random generator of numpy",
    ),
    "good": ("return x.flatten(1)", "torch.rand(1)", None),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_a_trained_classifier_is_what_its_checkpoint_says(plugin, name):
    forward, init, message = BACKBONES[name]
    path = plugin(
        "models",
        f"""
        import numpy as np
        import torch
        class Backbone(torch.nn.Module):
            def __init__(self):
                super().__init__()
                {init}
            def forward(self, x):
                {forward}
        def build_backbone(channels, image_size):
            return Backbone(), channels * image_size**2
        """,
    )
    spec = ModelSpec("mine", 1, 8, 3, (0.5,), (0.5,))
    images = torch.randint(256, (4, 1, 8, 8), dtype=torch.uint8)

    def build():
        check_classifier(build_model(spec, seed=1).eval(), spec, images)

    if message is None:
        build()
    else:
        with refused(path, message):
            build()


# Datasets


INFO = {
    "title": "'Mine'",
    "images": "6",
    "class_names": "('a', 'b')",
    "mean": "(0.5,)",
    "std": "(0.5,)",
    "paper_dataset": "None",
}
DATASETS = {
    "good": ({}, "", None),
    "images": ({"images": "7"}, "", "`INFO` has images=7, but `load` returned 6"),
    "images as text": ({"images": "'6'"}, "", "has images='6'"),
    "a class too many": (
        {"class_names": "('a', 'b', 'c')"},
        "",
        "has 3 class_names, but `load` returned images of 2 classes",
    ),
    "a class twice": ({"class_names": "('a', 'a')"}, "", "two names or more"),
    "the scale of pixels": ({"mean": "(127.5,)"}, "", "on the scale from 0 to 1"),
    "no deviation": ({"std": "(0.0,)"}, "", "on the scale from 0 to 1"),
    "NaN": ({"mean": "(float('nan'),)"}, "", "on the scale from 0 to 1"),
    "channels": ({"std": "(0.5,) * 3"}, "", "of unequal length"),
    "the paper's name": (
        {"paper_dataset": "'mnist'"},
        "",
        "has paper_dataset='mnist'; it is None or one of the paper's: fmnist",
    ),
    "another info": ({}, "info = replace(INFO, title='Other')", "another `info` than `INFO`"),
    "a generator": ({}, "np.random.rand()", "global random generator of numpy"),
    "not published": ({"images": "7"}, "published = False", None),
}


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_is_what_its_info_says(plugin, name):
    changes, line, message = DATASETS[name]
    fields = ", ".join(f"{key}={value}" for key, value in (INFO | changes).items())
    path = plugin(
        "data",
        f"""
        from dataclasses import replace
        import numpy as np
        from remibench.data import DatasetInfo, RawDataset
        INFO = DatasetInfo({fields})
        def load(options):
            info, published = INFO, True
            {line}
            return RawDataset(
                info, np.zeros((6, 8, 8), np.uint8), np.arange(6) % 2, {{}}, published
            )
        """,
    )
    if message is None:
        assert len(load_dataset("mine", LoadOptions([])).labels) == 6
    else:
        with refused(path, message):
            load_dataset("mine", LoadOptions([]))


# Selections


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("return np.random.rand(6)", "global random generator of numpy"),
        ("images.labels[:] = 0", None),
    ],
)
def test_a_selection_leaves_the_images_and_the_generators_alone(plugin, line, message):
    path = plugin("selections", f"import numpy as np\ndef prioritise(images):\n    {line}")
    images = Images(np.arange(6) % 2, np.arange(6), ["a", "b"], "pets", 0)
    expected = refused(path, message) if message else pytest.raises(ValueError, match="read-only")
    with expected:
        forget_set("mine", images, 0.5, {})


# Tables and figures


def figure(body):
    return "import matplotlib.pyplot as plt\ndef draw(results):\n" + indent(dedent(body), "    ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("results.metric('acuracy')", "asks for the metric 'acuracy', which no metric of this run"),
        ("results.summary('acuracy')", "did you mean 'accuracy'"),
        ("results.metric('zzz')", "yields; measured: accuracy, "),
        ("results.metric('paper_rate')", "was not measured; add matched_points to `metrics`"),
        (
            "rows = results.evaluation.query('metric == \"acuracy\"')\n"
            "figure, axis = plt.subplots()\naxis.plot(rows['seed'], rows['value'])\nreturn figure",
            "`draw` drew nothing",
        ),
        ("return plt.subplots()[0]", "`draw` drew nothing"),
    ],
)
def test_a_figure_of_what_does_not_exist_is_refused(plugin, tmp_path, body, message):
    path = plugin("reporting", figure(body), "figure_mine")
    product = products()["figure_mine"]
    results = synthetic_results(("fmnist",), ("cnn",), seeds=2)
    paths = {suffix: tmp_path / f"a.{suffix}" for suffix in ("svg", "png")}
    with refused(path, message):
        make_product(product, results, **paths)
    assert not any(each.exists() for each in paths.values())


def test_a_figure_that_says_what_was_not_run_is_drawn(plugin, tmp_path):
    plugin("reporting", figure("f, a = plt.subplots()\na.text(0, 0, 'x')\nreturn f"), "figure_mine")
    product = products()["figure_mine"]
    make_product(product, synthetic_results(("fmnist",), ("cnn",), seeds=1),
                svg=tmp_path / "a.svg", png=tmp_path / "a.png")  # fmt: skip
    assert Path(tmp_path / "a.svg").exists()


def test_a_table_without_rows_is_refused(plugin, tmp_path):
    path = plugin(
        "reporting",
        """
        TITLE = "Mine"
        def build(results): return results.evaluation.query("metric == 'acuracy'")
        layout = explain = None
        """,
        "table_mine",
    )
    product = products()["table_mine"]
    results = synthetic_results(("fmnist",), ("cnn",), seeds=1)
    with refused(path, "`build` returned no rows"):
        make_product(product, results, csv=tmp_path / "a", tex=tmp_path / "b", html=tmp_path / "c")


def test_the_packages_own_say_in_words_what_was_not_measured():
    results = synthetic_results(("fmnist",), ("cnn",), seeds=1)
    assert results.metric("paper_rate").empty
    with pytest.raises(RemibenchError, match="asks for the metric 'acuracy'"):
        results.metric("acuracy")
