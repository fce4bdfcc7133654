"""Selections: which images are forgotten, and which unseen images they are compared with."""

from dataclasses import replace

import numpy as np
import pytest
from support.configs import default, merge
from support.smoke import ROOT

from remibench.components import plugins
from remibench.config.model import load_config
from remibench.data.forget_sets import read_positions, select_forget_set
from remibench.errors import RemibenchError
from remibench.selections import Images, forget_set, unseen_alike

COUNT = 60
LABELS = np.arange(COUNT) % 3


@pytest.fixture
def images():
    """Twenty images of each of three classes, at the even positions of a dataset of 120."""
    return Images(
        labels=LABELS,
        positions=2 * np.arange(COUNT),
        class_names=["cat", "dog", "7"],
        dataset="pets",
        split_seed=0,
        attributes={"age": np.arange(COUNT), "home": np.where(LABELS, "house", "shelter")},
        values={"age": np.arange(70), "home": np.array(["farm", "house", "shelter"])},
    )


@pytest.mark.parametrize(("name", "field"), [("membership", "membership"), ("memorised", "losses")])
def test_scores_are_taken_as_they_are(images, name, field):
    scores = np.random.default_rng(0).random(COUNT)
    chosen = forget_set(name, replace(images, **{field: scores}), 0.25, {})
    assert np.array_equal(chosen, select_forget_set(LABELS, 0.25, scores))


def test_random_sets_depend_on_dataset_and_split_alone(images):
    chosen = forget_set("random", images, 0.25, {})
    assert np.bincount(LABELS[chosen]).tolist() == [5, 5, 5]
    other = forget_set("random", replace(images, split_seed=1), 0.25, {})
    assert np.array_equal(chosen, forget_set("random", replace(images, losses=None), 0.25, {}))
    assert not np.array_equal(chosen, other)


@pytest.mark.parametrize("dog", ["dog", 1, "1"])  # the command line gives text
def test_a_whole_class_or_a_share_of_it(images, dog):
    whole = forget_set("class", images, 1.0, {"classes": [dog]})
    assert np.array_equal(whole, np.flatnonzero(LABELS == 1))
    half = forget_set("class", images, 0.5, {"classes": [dog]})
    assert len(half) == 10
    assert set(half) < set(whole)
    two = forget_set("class", images, 0.5, {"classes": [dog, "7"]})  # a name before a number
    assert np.bincount(LABELS[two], minlength=3).tolist() == [0, 10, 10]
    assert set(half) < set(two)


def test_the_unseen_images_of_a_class_are_those_of_its_label(images):
    alike = unseen_alike("class", images, {"classes": ["dog"]})
    assert np.array_equal(alike, np.flatnonzero(LABELS == 1))
    for everything in ("random", "membership", "memorised"):
        assert unseen_alike(everything, images, {}) is None


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"values": ["shelter"], "column": "home"}, LABELS == 0),
        ({"low": 10, "high": 19.5, "column": "age"}, (np.arange(60) > 9) & (np.arange(60) < 20)),
        ({"high": 3, "column": "age"}, np.arange(60) <= 3),
        ({"values": ["4", 8], "column": "age"}, np.isin(np.arange(60), [4, 8])),
        ({"values": [4, 8], "low": 5, "column": "age"}, np.arange(60) == 8),
        ({"values": [8, 65], "column": "age"}, np.arange(60) == 8),  # 65 is in another role
        ({"values": ["shelter", "farm"], "column": "home"}, LABELS == 0),
    ],
)
def test_a_subgroup_is_by_value_or_range_of_a_column(images, parameters, expected):
    given = {"values": None, "low": None, "high": None} | parameters
    assert np.array_equal(forget_set("subgroup", images, 1.0, given), np.flatnonzero(expected))
    assert np.array_equal(unseen_alike("subgroup", images, given), np.flatnonzero(expected))


FORMS = {
    "a.npy": lambda path, listed: np.save(path, np.array(listed, np.int32)),
    "a.csv": lambda path, listed: path.write_text("\n".join(["index", *map(str, listed)]) + "\n"),
    "a.txt": lambda path, listed: path.write_text(" ".join(map(str, listed))),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_lists_positions_of_the_dataset(tmp_path, images, form):
    path = tmp_path / form
    FORMS[form](path, [100, 6, 0, 102, 2])
    chosen = forget_set("file", images, 1.0, {"path": str(path)})
    assert chosen.tolist() == [0, 1, 3, 50, 51]
    assert unseen_alike("file", images, {"path": str(path)}) is None
    some = forget_set("file", images, 0.5, {"path": str(path)})  # of every class, the first listed
    assert some.tolist() == [0, 1, 3, 50]  # of 3, 0, 51, which are class 0, the first two


BAD_FILES = {
    "no such file": ("a.npy", None, "a.npy: no such file"),
    "text": ("a.csv", b"cat\ndog\n", "a list of images is npy of integers, or text"),
    "floats": ("a.npy", np.array([0.5, 1]), "holds float64 of shape"),
    "a matrix": ("a.npy", np.zeros((2, 2), int), r"holds int64 of shape \(2, 2\)"),
    "objects": ("a.npy", np.array([None, {}]), "a list of images is npy of integers"),
    "nothing": ("a.txt", b"", "lists no image"),
    "negative": ("a.txt", b"3\n-4\n", "lists the image -4"),
    "twice": ("a.txt", b"3\n4\n3\n", "lists image 3 twice"),
    "noise": ("a.csv", b"\xff\xfe\x00", "a list of images is npy of integers"),
    "cut npy": ("a.npy", b"\x93NUMPY", "a list of images is npy of integers"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_list_is_one_line(tmp_path, name):
    form, content, message = BAD_FILES[name]
    path = tmp_path / form
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(RemibenchError, match=message) as caught:
        read_positions(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


BAD = {
    "class": ({"classes": ["cow"]}, "pets has no class 'cow'; its classes are 0 cat, 1 dog, 2 7"),
    "class ": ({"classes": [9]}, "pets has no class '9'"),
    "class  ": ({"classes": []}, "names no class"),
    "class   ": ({"classes": [0, 1, 2]}, "forget ratio 1.0 takes all 60 training images"),
    "subgroup": ({"column": "race"}, "pets has no column 'race'; its columns: age, home"),
    "subgroup ": ({"column": "age"}, "set `values`, `low` or `high`"),
    "subgroup  ": ({"column": "age", "low": 99}, "none of the 60 training images is selected"),
    "subgroup   ": ({"column": "home", "low": 1}, "'home' of pets holds text"),
    "subgroup    ": ({"column": "age", "values": ["old"]}, "'old' is no number"),
    "subgroup     ": (
        {"column": "home", "values": ["nowhere"]},
        "no image of pets has 'nowhere' in 'home'; it holds farm, house, shelter$",
    ),
    "subgroup      ": (
        {"column": "age", "values": [3, 70]},
        "no image of pets has 70.0 in 'age'; it holds 0, .*, 19 and 50 more",
    ),
    "random": ({}, "`forgetting.selection: random`: forget ratio 1.0 takes all 60"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_selected_is_one_line(images, name):
    parameters, message = BAD[name]
    if name.startswith("subgroup"):
        parameters = {"values": None, "low": None, "high": None} | parameters
    with pytest.raises(RemibenchError, match=message) as caught:
        forget_set(name.strip(), images, 1.0, parameters)
    assert "\n" not in str(caught.value)


def test_listed_images_that_the_target_was_not_trained_on_are_refused(tmp_path, images):
    path = tmp_path / "a.txt"
    path.write_text("2 3 5")
    message = r"2 of the 3 listed images \(the first: 3\) are no training images .* on pets"
    with pytest.raises(RemibenchError, match=message):
        forget_set("file", images, 1.0, {"path": str(path)})


def test_a_kind_without_unseen_images_is_refused(images):
    of_tests = replace(images, labels=np.zeros(COUNT, int))
    for name, found in (("dog", 0), ("cat", COUNT)):
        with pytest.raises(RemibenchError, match=f"{found} of 60 test images of pets are of the"):
            unseen_alike("class", of_tests, {"classes": [name]})


# The config


def load(**changes):
    return load_config(merge(default(), changes))


def test_a_selection_has_its_section_and_is_described(tmp_path):
    assert load().forgetting.parameters == {}
    assert load().forgetting.described == "membership"
    forgetting = {"selection": "class", "class": {"classes": ["sandal", 8]}}
    cfg = load(forgetting=forgetting, forget_ratios=[0.1, 0.25])
    assert cfg.forgetting.parameters == {"classes": ["sandal", 8]}
    assert cfg.forgetting.described == "class (classes: sandal, 8)"
    again = load_config(cfg.model_dump())  # as results/config.yaml has it
    assert again.forgetting == cfg.forgetting
    group = {"selection": "subgroup", "subgroup": {"column": "age", "low": 60}}
    assert load(forgetting=group).forgetting.described == "subgroup (column: age; low: 60.0)"


@pytest.mark.parametrize(
    ("forgetting", "message"),
    [
        ({"selection": "class"}, "key `forgetting.class.classes` is missing"),
        (
            {"selection": "klass"},
            "`forgetting.selection`: unknown name 'klass'; did you mean 'c",
        ),
        ({"class": {"class": ["a"]}}, "unknown key 'class' in `forgetting.class`"),
        ({"selection": "file"}, "key `forgetting.file.path` is missing"),
        (
            {"selection": "file", "file": {"path": "none.npy"}},
            "`forgetting`: file.path: none.npy is no file",
        ),
        ({"selection": "selection"}, "`forgetting.selection`: unknown name 'selection'"),
        ({"random": {}}, "unknown key 'random' in `forgetting`"),
    ],
)
def test_a_bad_section_is_one_line(forgetting, message):
    with pytest.raises(RemibenchError, match=f"^config: {message}"):
        load(forgetting=forgetting)


def test_a_ratio_of_one_is_for_parts_of_the_training_set(tmp_path):
    with pytest.raises(RemibenchError, match=r"`forget_ratios`: 1.0 leaves nothing to retain with"):
        load(forget_ratios=[1])


# Plug-ins


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def prioritise(images):\n    return [1.0]", "returned .* for 60 images; it returns a"),
        ("def prioritise(images):\n    return 'all'", "returned 'all' for 60 images"),
        (
            "import numpy as np\ndef prioritise(images):\n"
            "    return np.where(images.labels > 0, 1.0, np.nan)",
            "gave NaN to 20 images, which are then never forgotten; declare RESTRICTS = True",
        ),
    ],
)
def test_a_plug_in_that_breaks_its_contract_is_one_line(tmp_path, images, text, message):
    (tmp_path / "mine" / "selections").mkdir(parents=True)
    path = tmp_path / "mine" / "selections" / f"odd{abs(hash(text))}.py"
    path.write_text(text)
    plugins.activate([tmp_path / "mine"])
    try:
        with pytest.raises(RemibenchError, match=f"{path}: `prioritise` {message}"):
            forget_set(path.stem, images, 0.5, {})
    finally:
        plugins.activate([])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("USES = ('images',)\ndef prioritise(images): ...", "`USES` lists some of membership, lo"),
        ("RESTRICTS = 1\ndef prioritise(images): ...", "`RESTRICTS` is True or False, written out"),
        ("def prioritize(images): ...", "defines no `prioritise`"),
        ("def prioritise(images, *, many=3): ...", "parameter `many` of `prioritise` needs a type"),
        ("def prioritise(images, labels): ...", r"`prioritise` takes \(images, \*, …\)"),
    ],
)
def test_a_plug_in_is_held_to_its_contract_when_the_config_is_read(tmp_path, text, message):
    path = tmp_path / "selections" / "mine.py"
    path.parent.mkdir()
    path.write_text(text)
    try:
        with pytest.raises(RemibenchError, match=f"{path}.*{message}"):
            load(plugins=[str(tmp_path)])
    finally:
        plugins.activate([])


@pytest.mark.parametrize("name", ["parameters", "uses", "selection", "copy"])
def test_a_name_that_the_section_needs_is_taken(tmp_path, name):
    path = tmp_path / "selections" / f"{name}.py"
    path.parent.mkdir()
    path.write_text("def prioritise(images): ...")
    try:
        with pytest.raises(RemibenchError, match=f"{path}: the name '{name}' is taken"):
            load(plugins=[str(tmp_path)])
    finally:
        plugins.activate([])


def test_the_package_has_the_selections_that_its_docs_list():
    names = {path.stem for path in (ROOT / "remibench/selections").glob("[a-z]*.py")}
    assert names == {"class", "file", "membership", "memorised", "random", "subgroup"}
