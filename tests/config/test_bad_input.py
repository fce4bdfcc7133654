"""Bad input: what it is, and the one line that says so, with file or key and fix."""

import gzip
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from support import standins
from support.configs import default, merge
from support.smoke import ROOT, copy_repository, snakemake

from remibench.artifacts.io import (
    load_array,
    load_arrays,
    load_json,
    load_tensors,
    save_array,
    save_arrays,
    save_tensors,
)
from remibench.artifacts.tables import load_table
from remibench.attacks import load_attack
from remibench.attacks.blackbox import BlackBoxAttack
from remibench.attacks.whitebox import WhiteBoxAttack
from remibench.config.model import load_config
from remibench.data import DatasetInfo, LoadOptions, RawDataset, cifar10, load_dataset
from remibench.data._idx import read_idx
from remibench.data.forget_sets import select_forget_set
from remibench.data.preparation import prepare_dataset
from remibench.data.splits import split_dataset
from remibench.errors import RemibenchError
from remibench.jobs.torch_setup import select_device
from remibench.models import ModelSpec, build_model, load_model, save_model
from remibench.planning.jobs import read_config


class Case(NamedTuple):
    """A bad input, met in a folder of its own, and a pattern of its one line."""

    name: str
    meet: Callable[[Path], object]
    message: str


def nested(key, value):
    """``nested("a.b", 1)`` is ``{"a": {"b": 1}}``."""
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


def config(key, value, message):
    """A value of a key in a config that is good otherwise; the message names the key."""
    return Case(
        f"config {key}={value}",
        lambda _: load_config(merge(default(), nested(key, value))),
        f"^config: .*{message}",
    )


ACROSS = {"across_seeds": ["klom"], "forgetting": {"selection": "random"}, "seeds": [0, 1, 2, 3]}
CONTRADICTION = {"reference": "target", "out_of_sample_gradient": True}
PAPER = {"controls": ["temperature_paper"]}
CONFIG = [
    config("dataset", ["x"], "unknown key 'dataset' at the top level; did you mean 'datasets'"),
    config("training.epoch", 3, "unknown key 'epoch' in `training`; did you mean 'epochs'"),
    config(
        "adversaries.mia.whitebox.lr", 1, "'lr' in `adversaries.mia.whitebox`; choices: batch_size"
    ),
    config("unlearning.remi", {}, "unknown key 'remi' in `unlearning`; did you mean 'remi_black"),
    config("methods", ["original", "fischer"], "unknown name 'fischer'; did you mean 'fisher'"),
    config("methods", ["fisher"], "`methods`: 'original' is missing"),
    config("methods", "original", "`methods`: input should be a valid list; got 'original'"),
    config("datasets", ["mnist"], "unknown name 'mnist'; did you mean 'fmnist'"),
    config("datasets", [], "`datasets`: list should have at least 1 item"),
    config("datasets", ["_idx"], "unknown name '_idx'.*choices: cifar10, fmnist"),
    config("architectures", ["resnet"], "unknown name 'resnet'; did you mean 'resnet18'"),
    config("architectures", ["../cnn"], "unknown name '../cnn'"),
    config("metrics", ["acuracy"], "did you mean 'accuracy'"),
    config("seeds", [0, 1, 0], "`seeds`: 0 is listed twice"),
    config("seeds", [], "`seeds`: list should have at least 1 item"),
    config("seeds", [-1], "`seeds.0`: input should be greater than or equal to 0; got -1"),
    config("seeds", 3, "`seeds`: input should be a valid list; got 3"),
    config("seeds", [0.5], "`seeds.0`: input should be a valid integer"),
    config("seeds", None, "`seeds`: input should be a valid list; got None"),
    config("forget_ratios", [0.1, 1.0], "`forget_ratios`: 1.0 leaves nothing to retain with"),
    config("forget_ratios", [0.1, 1.1], "`forget_ratios.1`: input should be less .* 1; got 1.1"),
    config("forget_ratios", [0], "`forget_ratios.0`: input should be greater .* 0.0001; got 0"),
    config("forget_ratios", ["ten"], "`forget_ratios.0`: input should be a valid number"),
    config("forget_ratios", [0.1, 0.10], "`forget_ratios`: 0.1 is listed twice"),
    config("training.epochs", 0, "`training.epochs`: input should be greater than 0; got 0"),
    config("training.epochs", 1.5, "`training.epochs`: input should be a valid integer"),
    config("training.learning_rate", "fast", "`training.learning_rate`: input should be a valid"),
    config("training.learning_rate", float("nan"), "`training.learning_rate`: input should be"),
    config("training.momentum", 1, "`training.momentum`: input should be less than 1; got 1"),
    config("training.weight_decay", float("inf"), "`training.weight_decay`: input should be a fin"),
    config("training.batch_size", -64, "`training.batch_size`: input should be greater than 1"),
    config("training.batch_size", 1, "`training.batch_size`: input should be greater than 1"),
    config("unlearning.scrub.batch_size", 1, "`unlearning.scrub.batch_size`: input should be gre"),
    config("unlearning.bad_teacher.batch_size", 1, "`unlearning.bad_teacher.batch_size`: input"),
    Case(
        "config ReMI with a gradient of what is fixed",
        lambda _: load_config(merge(default(), nested("unlearning.remi_blackbox", CONTRADICTION))),
        "^config: `unlearning.remi_blackbox`: `reference: target` fixes .* no gradient; set",
    ),
    Case(
        "config variants of ReMI with a gradient of what is fixed",
        lambda _: load_config(
            merge(
                default(),
                {
                    "data": {"swap_target_and_shadow": True},
                    "variants": {
                        "remi_whitebox": {
                            "reference": ["current", "target"],
                            "out_of_sample_gradient": [True],
                        }
                    },
                },
            )
        ),
        "^config: `unlearning.remi_whitebox`: `reference: target` fixes",
    ),
    Case(
        "config temperature_paper at a ratio that the paper has not",
        lambda _: load_config(default() | PAPER | {"forget_ratios": [0.1, 0.05]}),
        "^config: `controls`: temperature_paper is made from .* for fmnist_embedded, cnn, 0.05; ta",
    ),
    Case(
        "config temperature_paper of a plug-in's architecture",
        lambda _: load_config(
            default()
            | PAPER
            | {"architectures": ["mlp"], "plugins": ["docs/extend/templates"], "unlearning": {}}
        ),
        "^config: `controls`: temperature_paper is made from .* for fmnist_embedded, mlp, 0.1;",
    ),
    config("training.precision", "fp16", "`training.precision`: input should be 'bf16' or 'fp32'"),
    config("training", None, "`training`: input should be a valid dictionary"),
    config("training", [], "`training`: input should be a valid dictionary"),
    config("device", "tpu", "`device`: input should be 'cpu' or 'cuda'; got 'tpu'"),
    config("results", "", "`results`: string should have at least 1 character"),
    config("results", "a{b}", "`results`: string should match pattern .*; got 'a{b}'"),
    config("keep_unlearned", "perhaps", "`keep_unlearned`: input should be a valid boolean"),
    config("checkpoint_seconds", -1, "`checkpoint_seconds`: input should be greater than or equal"),
    config("data.out_of_sample_fraction", 1, "`data.out_of_sample_fraction`: .*less than 1; got 1"),
    config("data.limit", 0, "`data.limit`: input should be greater than 0; got 0"),
    config("data.search_path", [], "`data.search_path`: list should have at least 1 item"),
    config("data.split_seed", -1, "`data.split_seed`: input should be greater than or equal to 0"),
    config("data.image_size", 21, "`data.image_size`: 21 is too small for architecture cnn; .* 22"),
    config("forgetting.selection", "best", "`forgetting.selection`: unknown name 'best'; did you"),
    config("per_cell_values", "strict", "`per_cell_values`: input should be 'present' or 'requ"),
    config("values_from", None, "`values_from` is now `per_cell_values`; rename it"),
    config("across_seeds", ["lira"], "unknown name 'lira'; did you mean 'ulira'"),
    config(
        "across_seeds", ["klom"], "`across_seeds`: with `forgetting.selection: membership` ever"
    ),
    Case(
        "config across_seeds without retraining",
        lambda _: load_config(
            default() | ACROSS | {"methods": ["original", "fisher"], "controls": []}
        ),
        "^config: `across_seeds`: metrics compare with retraining; list retrain in `methods`",
    ),
    Case(
        "config across_seeds of few seeds",
        lambda _: load_config(default() | ACROSS | {"seeds": [0, 1, 2]}),
        "^config: `across_seeds`: metrics need at least 4 seeds, .*; `seeds` lists 3",
    ),
    config("unlearning.fisher.alpha", -1, "`unlearning.fisher.alpha`: input should be greater"),
    config("unlearning.remi_whitebox.loss", "kl", "`unlearning.remi_whitebox.loss`: input should"),
    config("unlearning.remi_blackbox.lambda2", 1.5, "`unlearning.remi_blackbox.lambda2`: .* 1"),
    config("unlearning.retrain.epochs", 5, "unknown key 'epochs' in `unlearning.retrain`"),
    config(
        "data.halves", "tuning", "`data.halves` is now `data.swap_target_and_shadow`; write true"
    ),
    config(
        "unlearning.fisher.values_from",
        "x.csv",
        "`unlearning.fisher.values_from` is now `unlearning.fisher.per_cell_values`; rename it",
    ),
    config("accesses", ["whitebox"], "`accesses` is now `attacks`; rename it"),
    config("tune", {}, "`tune` is now `variants`; rename it"),
    config("attacks", {"mf": {}}, "the section `attacks` is now `adversaries`; rename it"),
    config("unlearning.retrain.values_from", "x.csv", "unknown key 'values_from'"),
    config("data.swap_target_and_shadow", True, "what is searched is never reported"),
    Case(
        "config without seeds",
        lambda _: load_config({k: v for k, v in default().items() if k != "seeds"}),
        "^config: key `seeds` is missing; add it",
    ),
]


def cells(text, message, **changes):
    """A file of ``per_cell_values``; the message names key and file."""

    def meet(folder):
        path = folder / "values.csv"
        path.write_text(text)
        change = {"forget_ratios": [0.1], **changes}
        change |= nested("unlearning.fisher.per_cell_values", str(path))
        load_config(merge(default(), change))

    where = r"^config: `unlearning.fisher.per_cell_values`: \S*values.csv.*"
    return Case(f"per_cell_values {text!r}", meet, where + message)


AXES = "dataset,architecture,forget_ratio"
CELLS = [
    cells(
        f"{AXES}\n", "has no row for fmnist_embedded, cnn, 0.1; add one", per_cell_values="required"
    ),
    cells("dataset,architecture\nfmnist,cnn\n", "line 2: no value in column `forget_ratio`"),
    cells(f"{AXES},alfa\na,b,.1,1\n", "'alfa'; did you mean 'alpha'"),
    cells(f"{AXES},alpha\na,b,x,1\n", "line 2: could not convert"),
    cells(f"{AXES},alpha\na,b,.1,-1\n", "line 2: `alpha`: input should be greater"),
    cells(f"{AXES}\na,b,.1\na,b,0.1\n", "line 3: a, b, 0.1 is listed twice"),
    cells(f"{AXES}\na,b,.1,1\n", "line 2: more values than columns"),
    Case(
        "per_cell_values nowhere",
        lambda _: load_config(
            merge(default(), nested("unlearning.fisher.per_cell_values", "no.csv"))
        ),
        "`unlearning.fisher.per_cell_values`: cannot read no.csv: .*No such file",
    ),
]


def overlay(name, content, message):
    """A config file that is laid over the default."""

    def meet(folder):
        path = folder / "overlay.yaml"
        if content is not None:
            path.write_bytes(content)
        read_config([str(path)])

    return Case(name, meet, message)


OVERLAYS = [
    overlay("overlay nowhere", None, r"^config: \S*overlay.yaml: No such file"),
    overlay("overlay is a list", b"[1, 2]", "overlay.yaml: .*with keys at top level"),
    overlay("overlay is no YAML", b"a: [", "overlay.yaml: .*not valid JSON or YAML"),
    overlay("overlay is no text", b"a: \xff\xfe", "overlay.yaml: .*codec can't decode"),
    overlay("overlay with a typo", b"trainin: {epochs: 3}", "unknown key 'trainin' at the top"),
]

SPEC = ModelSpec("cnn", channels=1, image_size=24, classes=4, mean=(0.13,), std=(0.31,))
ADVICE = r"cannot read (\S+{file}): .*{reason}.*; `rm \1` and run the same snakemake command again"


def artifact(name, file, spoil, read, reason):
    """A file under ``results``: what ``spoil(path)`` makes of it, and who reads it."""

    def meet(folder):
        spoil(folder / file)
        read(folder / file)

    message = ADVICE.format(file=file.replace(".", r"\."), reason=reason)
    return Case(name, meet, "^" + message)


def written(write, change=lambda content: content):
    """Write an artifact, then change its bytes."""

    def spoil(path):
        write(path)
        path.write_bytes(change(path.read_bytes()))

    return spoil


def a_model(path):
    save_model(path, build_model(SPEC, seed=1), SPEC)


def flipped(where):
    """Flip a bit, at so many bytes or at that share of the file."""

    def change(content):
        content = bytearray(content)
        content[int(where * len(content)) if where < 1 else where] ^= 1
        return bytes(content)

    return change


def read_model(path):
    return load_model(path, SPEC, torch.device("cpu"))


def other_tensors(**changes):
    """The model's file with tensors replaced, or left out where None."""

    def spoil(path):
        a_model(path)
        tensors, header = load_tensors(path, {})
        tensors |= {name.replace("_", "."): value for name, value in changes.items()}
        save_tensors(path, {k: v for k, v in tensors.items() if v is not None}, header)

    return spoil


def an_array(path):
    save_array(path, np.arange(60).reshape(6, 10))


def arrays(path):
    save_arrays(path, {"train": np.arange(300), "test": np.arange(2)})


def bytes_of(content):
    return lambda path: path.write_bytes(content)


WHOLE = "not a whole safetensors file"
ARTIFACTS = [
    artifact("no model", "a.safetensors", lambda _: None, read_model, "no such file"),
    artifact("empty model", "a.safetensors", bytes_of(b""), read_model, WHOLE),
    artifact("model cut", "a.safetensors", written(a_model, lambda c: c[:-1]), read_model, WHOLE),
    artifact("model stub", "a.safetensors", written(a_model, lambda c: c[:50]), read_model, WHOLE),
    artifact("model of noise", "a.safetensors", bytes_of(b"\xff" * 200), read_model, WHOLE),
    artifact(
        "bit of a weight",
        "a.safetensors",
        written(a_model, flipped(0.7)),
        read_model,
        r"damaged \(CRC-32 \w{8}, expected \w{8}\)",
    ),
    artifact(
        "digit of the header",
        "a.safetensors",
        written(a_model, lambda c: c.replace(b"0.31", b"0.32", 1)),
        read_model,
        r"damaged \(CRC-32",
    ),
    artifact(
        "foreign model",
        "a.safetensors",
        lambda path: save_file({"weight": torch.zeros(2)}, path),
        read_model,
        "not written by remibench",
    ),
    artifact(
        "model of another size",
        "a.safetensors",
        a_model,
        lambda path: load_model(path, replace(SPEC, image_size=32), torch.device("cpu")),
        "it holds image_size=24, expected 32",
    ),
    artifact(
        "tensor of another shape",
        "a.safetensors",
        other_tensors(head_bias=torch.zeros(5)),
        read_model,
        r"tensor 'head\.bias' has shape \(5,\), expected \(4,\)",
    ),
    artifact(
        "tensor missing",
        "a.safetensors",
        other_tensors(head_bias=None),
        read_model,
        r"'head\.bias' has shape missing, expected \(4,\)",
    ),
    artifact(
        "unknown tensor",
        "a.safetensors",
        other_tensors(extra=torch.zeros(1)),
        read_model,
        r"'extra' has shape \(1,\), expected no such tensor",
    ),
    artifact(
        "model where an attack should be",
        "a.safetensors",
        a_model,
        load_attack,
        "it holds kind='classifier', expected 'attack'",
    ),
    artifact(
        "attack of the other access",
        "a.safetensors",
        lambda path: BlackBoxAttack(4).save(path),
        WhiteBoxAttack.load,
        "it holds access='blackbox', expected 'whitebox'",
    ),
    artifact("no array", "a.npy", lambda _: None, load_array, "no such file"),
    artifact("array cut", "a.npy", written(an_array, lambda c: c[:-20]), load_array, "damaged"),
    artifact("bit of an array", "a.npy", written(an_array, flipped(0.5)), load_array, "damaged"),
    artifact("foreign array", "a.npy", lambda p: np.save(p, np.eye(2)), load_array, "not written"),
    artifact(
        "array of objects",
        "a.npy",
        lambda path: np.save(path, np.array([{}], object), allow_pickle=True),
        load_array,
        "not written by remibench",
    ),
    artifact("arrays cut", "a.npz", written(arrays, lambda c: c[:-9]), load_arrays, "whole npz"),
    artifact("bit of arrays", "a.npz", written(arrays, flipped(0.4)), load_arrays, "Bad CRC-32"),
    artifact("JSON cut", "a.json", bytes_of(b'{"a": 1'), load_json, "not a whole JSON file"),
    artifact("JSON of noise", "a.json", bytes_of(b"\xff\x00"), load_json, "not a whole JSON file"),
    artifact(
        "JSON too deep", "a.json", bytes_of(b"[" * 100_000), load_json, "not a whole JSON file"
    ),
    artifact("table cut", "a.csv", bytes_of(b"epoch,loss\n1,0.5\n2,0."), load_table, "is cut off"),
    artifact("empty table", "a.csv", bytes_of(b""), load_table, "is cut off"),
    artifact("short line", "a.csv", bytes_of(b"epoch,loss\n1\n"), load_table, "have 1 to 2 values"),
    artifact(
        "word for number", "a.csv", bytes_of(b"loss\n0.x\n"), load_table, "column 'loss': .*0.x"
    ),
    artifact("table of noise", "a.csv", bytes_of(b"\xff\xfe\n"), load_table, "codec can't decode"),
]


def idx(name, content, message, ndim=1):
    """A gzip-compressed idx file; the message names it."""

    def meet(folder):
        path = folder / "labels.gz"
        if content is not None:
            path.write_bytes(content)
        read_idx(path, ndim, checksum="0" * 64)

    return Case(f"idx {name}", meet, rf"^\S*labels.gz: .*{message}")


HEADER = b"\x00\x00\x08\x01\x00\x00\x00"
IDX = [
    idx("nowhere", None, "cannot be read as gzip.*No such file.*; fetch it again"),
    idx("not compressed", b"not gzip", "cannot be read as gzip"),
    idx("cut", gzip.compress(HEADER + b"\x05abcde")[:-9], "cannot be read as gzip"),
    idx("empty", gzip.compress(b""), "not an idx file"),
    idx("of floats", gzip.compress(b"\x00\x00\x0d\x01\x00\x00\x00\x01a"), "not an idx file"),
    idx("of images", gzip.compress(HEADER + b"\x02ab"), "not an idx file of 3-dimensional", 3),
    idx("too short", gzip.compress(HEADER + b"\x05abc"), "the file has only 3"),
    idx("too long", gzip.compress(HEADER + b"\x02abc"), "the file has more"),
    idx(
        "of billions",
        gzip.compress(b"\x00\x00\x08\x01\xff\xff\xff\xffabc"),
        "4,294,967,295 bytes, more than",
    ),
    idx("of others", gzip.compress(HEADER + b"\x02ab"), "not the published file.*published_only"),
]


class Exploit:
    """What an untrusted pickle could do."""

    def __reduce__(self):
        return (exec, ("open('exploited', 'w')",))


def batch(name, content, message):
    """A pickled batch of CIFAR-10 in a folder that is good otherwise."""

    def meet(folder):
        standins.write_cifar10_folder(folder, standins.balanced(60))
        (folder / "cifar-10-batches-py" / "data_batch_2").write_bytes(content)
        load_dataset("cifar10", LoadOptions([folder], published_only=False))

    return Case(f"CIFAR-10 {name}", meet, f"data_batch_2: .*{message}")


ONE = standins.pickled_batch(np.zeros((1, 3072), np.uint8), [1])
OBJECTS = ONE.replace(b"T\x02\x00\x00\x00u1", b"T\x02\x00\x00\x00O8")
BATCHES = [
    batch(
        "with a command",
        pickle.dumps({b"data": Exploit(), b"labels": []}),
        "asks for builtins.exec.*do not trust this file",
    ),
    batch("not a pickle", b"not a pickle", "not a batch of CIFAR-10.*; fetch it again"),
    batch("without images", pickle.dumps({b"labels": []}), "not a batch of CIFAR-10"),
    batch("cut", ONE[:-900], "not a batch of CIFAR-10"),
    batch(
        "with a label too few",
        standins.pickled_batch(np.zeros((2, 3072), np.uint8), [1]),
        "2 images but 1 labels",
    ),
    batch(
        "of floats",
        standins.pickled_batch(np.zeros((2, 3072)), [1, 2]),
        "an array of b'f8', expected 'u1'",
    ),
    batch("of objects", OBJECTS, "an array of b'O8', expected 'u1'"),  # numpy would follow them
    batch(
        "of another shape",
        standins.pickled_batch(np.zeros((2, 99), np.uint8), [1, 2]),
        r"an array of shape \(2, 99",
    ),
]

IMAGES = np.zeros((6, 28, 28), np.uint8)
INFO = DatasetInfo("test", 6, ("a", "b", "c"), (0.5,), (0.5,), "fmnist")


def raw(name, message, images=IMAGES, labels=(0, 1, 2, 0, 1, 2), info=INFO):
    """A dataset whose images or labels do not fit; nothing of it may be left behind."""

    def meet(folder):
        paths = [
            folder / name
            for name in ("images.npy", "labels.npy", "metadata.json", "attributes.npz")
        ]
        try:
            prepare_dataset(
                "mine", RawDataset(info, images, np.array(labels), {}), 32, None, *paths
            )
        finally:
            assert list(folder.iterdir()) == []

    return Case(f"images {name}", meet, message)


RAW = [
    raw("with a label too high", "label 3 of image 3 is out of range 0…2", labels=(0, 1, 2, 3, 0)),
    raw("with a negative label", "label -1 of image 1 is out of range", labels=(0, -1)),
    raw("of floats", "image 0 is float32 of shape", images=[np.zeros((28, 28), np.float32)] * 6),
    raw("in colour", "expected uint8 of shape", images=[np.zeros((28, 28, 3), np.uint8)] * 6),
    raw("too few", "5 images but 6 labels", images=IMAGES[:5]),
    raw("too many", "more than 5 images but 5 labels", labels=(0, 1, 2, 0, 1)),
    *(
        raw(f"with constants {changes}", message, info=replace(INFO, **changes))
        for changes, message in [
            ({"mean": (float("nan"),)}, r"data.mine: `INFO.mean` is \[nan\]; it has a finite num"),
            ({"mean": (float("inf"),)}, r"`INFO.mean` is \[inf\]; it has a finite number"),
            ({"std": (float("nan"),)}, r"`INFO.std` is \[nan\]; it has a finite number"),
            ({"std": (0.0,)}, r"`INFO.std` \[0.0\]; .* no deviation is 0"),
            ({"std": (-0.5,)}, r"`INFO.std` \[-0.5\]; .* scale from 0 to 1"),
            ({"mean": (127.5,)}, r"`INFO.mean` is \[127.5\] .* scale from 0 to 1"),
            ({"mean": ("0.5",)}, "`INFO.mean` is .*; it has a finite number"),
            ({"mean": (0.5, 0.5, 0.5)}, "`INFO.mean` is .* for each channel"),
            ({"mean": (0.5, 0.5), "std": (0.5, 0.5)}, "`INFO.mean` is .* one .grey. or three"),
            ({"mean": (), "std": ()}, "`INFO.mean` is .* for each channel"),
            ({"class_names": ("a",)}, "`INFO.class_names` is .*; name two classes or more"),
            ({"class_names": ("a", "b", "b")}, "`INFO.class_names` is .*; name two classes"),
        ]
    ),
]


def archive(members):
    """An archive of UTKFace with these members."""

    def meet(folder):
        standins.write_archive(folder / "UTKFace.tar.gz", members)
        load_dataset("utkface", LoadOptions([folder], published_only=False))

    return meet


def cut_archive(folder):
    standins.write_utkface_archive(folder, standins.balanced(20, 4))
    path = folder / "UTKFace.tar.gz"
    path.write_bytes(path.read_bytes()[:-1000])
    load_dataset("utkface", LoadOptions([folder], published_only=False))


def faces(change, **options):
    """Good faces, and one file more."""

    def meet(folder):
        standins.write_utkface_folder(folder, standins.balanced(12, 4))
        change(folder / "UTKFace")
        load_dataset("utkface", LoadOptions([folder], published_only=False, **options))

    return meet


def state_most_pixels(home):
    """A small JPEG file whose header says 65,500×65,500 pixels."""
    path = home / "9_0_1_2017.jpg"
    Image.new("L", (8, 8)).save(path, "JPEG")
    content = path.read_bytes()
    at = content.index(b"\xff\xc0") + 5  # behind marker, length and precision
    path.write_bytes(content[:at] + (65500).to_bytes(2) * 2 + content[at + 4 :])


def stl10(change):
    """Good STL-10 files, one of them changed."""

    def meet(folder):
        standins.write_stl10_folder(folder, standins.balanced(26))
        change(folder / "stl10_binary")
        load_dataset("stl10", LoadOptions([folder], published_only=False))

    return meet


def half_a_record(folder):
    broken = {f"x/{name}.bin": bytes(3073 + 5) for name in cifar10.BATCHES}
    standins.write_archive(folder / "cifar-10-binary.tar.gz", broken)
    load_dataset("cifar10", LoadOptions([folder], published_only=False))


def without_batches(folder):
    standins.write_archive(folder / "cifar-10-python.tar.gz", {"x/readme.html": b""})
    load_dataset("cifar10", LoadOptions([folder], published_only=False))


def no_cuda(folder):
    """As on a machine without a device, whatever this one has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        select_device("cuda")


FILES = [
    Case(
        "UTKFace nowhere",
        lambda folder: load_dataset("utkface", LoadOptions([folder])),
        r"UTKFace not found, .* get UTKFace.tar.gz .* into \S+ or another .*`data.search_path`",
    ),
    Case("archive cut", cut_archive, r"UTKFace.tar.gz: cannot be read as a tar.gz .*fetch it"),
    Case("archive empty", archive({}), r"UTKFace.tar.gz: everything is missing; fetch it again"),
    Case(
        "face without a label",
        faces(lambda home: (home / "notes.txt").write_text("")),
        r"UTKFace: images that cannot be used: 1 with malformed name \(notes.txt\); mend or remove",
    ),
    Case(
        "face unreadable",
        faces(lambda home: (home / "9_0_1_2017.jpg").write_bytes(b"\xff\xd8")),
        r"1 with unreadable file \(9_0_1_2017.jpg\).*`data.skip_unusable: true`",
    ),
    Case(
        "face of another format",
        faces(lambda home: Image.new("RGB", (9, 9)).save(home / "9_0_1_2017.jpg", "PNG")),
        r"1 with unreadable file \(9_0_1_2017.jpg\)",
    ),
    Case(
        "face of too many pixels",
        faces(lambda home: Image.new("L", (5000, 5000)).save(home / "9_0_1_2017.jpg", "JPEG")),
        r"1 with unreadable file \(9_0_1_2017.jpg\)",
    ),
    Case(
        "face that states the most pixels",
        faces(state_most_pixels),
        r"1 with unreadable file \(9_0_1_2017.jpg\)",
    ),
    Case(
        "STL-10 cut",
        stl10(lambda home: (home / "test_X.bin").write_bytes(bytes(442367))),
        r"test_X.bin: 442367 bytes, but test_y.bin has 16 labels, .* fetch both again",
    ),
    Case(
        "STL-10 label 0",
        lambda folder: (
            standins.write_stl10_folder(folder, standins.balanced(26) - 1),
            prepare_dataset(
                "stl10",
                load_dataset("stl10", LoadOptions([folder], published_only=False)),
                32,
                None,
                *(
                    folder / name
                    for name in ("images.npy", "labels.npy", "metadata.json", "attributes.npz")
                ),
            ),
        ),
        "label -1 of image 0 is out of range 0…9; the label file .* is damaged",
    ),
    Case("CIFAR-10 of half a record", half_a_record, "batch_1.bin: 3078 bytes are not a whole"),
    Case("CIFAR-10 without batches", without_batches, "python.tar.gz: data_batch_1 is missing"),
    Case(
        "too few images for the roles",
        lambda _: split_dataset(7, 0, 0.5),
        "7 images give quarters of 1, .* leaves an empty role; use more images",
    ),
    Case(
        "class too small for a ratio",
        lambda _: select_forget_set(np.array([0, 0, 0, 7]), 0.1, np.zeros(4)),
        "forget ratio 0.1 takes 1 of the 1 training images of class 7 and leaves none; lower",
    ),
    Case("no CUDA device", no_cuda, "no CUDA device is visible; set `device: cpu` or check"),
]
CASES = [*CONFIG, *CELLS, *OVERLAYS, *ARTIFACTS, *IDX, *BATCHES, *RAW, *FILES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_line_that_names_it(case, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(RemibenchError, match=case.message) as caught:
        case.meet(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (ROOT / "exploited").exists()


def test_no_case_is_listed_twice():
    assert len({case.name for case in CASES}) == len(CASES) >= 60


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return copy_repository(tmp_path_factory.mktemp("repository"))


def without_config(folder):
    (folder / "config.yaml").rename(folder / "elsewhere.yaml")
    return lambda: (folder / "elsewhere.yaml").rename(folder / "config.yaml")


def results_as_file(folder):
    (folder / "results").touch()
    return (folder / "results").unlink


def nothing(folder):
    return lambda: None


SMOKE, TUNE = ["config/smoke.yaml"], ["config/tune.yaml"]


@pytest.mark.parametrize(
    ("arguments", "overlays", "change", "message"),
    [
        (["--config", "trainin={'epochs': 3}"], SMOKE, nothing, "config: unknown key 'trainin'"),
        (["--config", "seeds=3"], SMOKE, nothing, "config: `seeds`: input should be a valid list"),
        (["--config", "forget_ratios=[1.5]"], SMOKE, nothing, "config: `forget_ratios.0`: input"),
        (
            [],
            TUNE,
            nothing,
            "config: `data.swap_target_and_shadow: true` is never reported; the target is tune",
        ),
        (["tune"], SMOKE, nothing, "config: `variants` lists none; lay config/tune.yaml over"),
        ([], ["config.yaml"], results_as_file, "config: `results`: results is a file; move it"),
        (
            [],
            SMOKE,
            without_config,
            "config: key `datasets` is missing; add it",
        ),
        (["--cores", "many"], SMOKE, nothing, "Error: Error parsing number of cores"),
        (["--profile", "nowhere"], SMOKE, nothing, "Error: profile directory given .nowhere., but"),
        (["results/x.csv"], SMOKE, nothing, "No rule to produce results/x.csv"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)
def test_a_bad_call_is_one_line_without_traceback(repository, arguments, overlays, change, message):
    """Of Snakemake itself; the last three are its own messages."""
    restore = change(repository)
    try:
        done = snakemake(repository, "--dry-run", *arguments, check=False, config=overlays)
    finally:
        restore()
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    lines = done.stdout.splitlines()
    assert [line for line in lines if re.match(message, line)] == lines[-1:]
