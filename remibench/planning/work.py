"""The work of a job in floating-point operations, counted without any file of a dataset.

Work is counted in images: a job's forward passes, and its backward passes at twice a forward one.
What an unlearning method computes on is declared by its module (``passes``), and how large an
attack is by its own (``build_attack``).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch

from remibench.components.plugins import call
from remibench.components.registry import methods
from remibench.config.variants import method_of
from remibench.data import dataset_info
from remibench.data.splits import CALIBRATED_ON, FITTED_ON, JUDGED_ON, split_dataset
from remibench.models import ModelSpec, forward_flops
from remibench.unlearning import Images, Passes


@cache
def model_spec(dataset: str, architecture: str, image_size: int) -> ModelSpec:
    """The classifier of a cell, known without any file of the dataset."""
    info = dataset_info(dataset)
    return ModelSpec(
        architecture,
        channels=len(info.mean),
        image_size=image_size,
        classes=len(info.class_names),
        mean=tuple(info.mean),
        std=tuple(info.std),
    )


_image_flops = cache(forward_flops)  # a trace of the model, asked for every job


@cache
def role_sizes(images: int, out_of_sample_fraction: float) -> dict[str, int]:
    """Number of images of every role."""
    roles = split_dataset(images, 0, out_of_sample_fraction)
    return {name: len(indices) for name, indices in roles.items()}


@cache
def attack_size(attack: str, spec: ModelSpec) -> int:
    """Number of values in an attack's checkpoint; allocates none of them.

    The attack's module tells it by ``build_attack(classes, width)``. One that has no such function
    is taken to be as large as the white-box attack.
    """
    module = import_module(f"remibench.attacks.{attack}")
    if not hasattr(module, "build_attack"):
        return attack_size("whitebox", spec)
    architecture = import_module(f"remibench.models.{spec.architecture}")
    with torch.device("meta"):
        _, width = architecture.build_backbone(spec.channels, spec.image_size)
        model = call(module, "build_attack", torch.nn.Module, spec.classes, width)
    return sum(tensor.numel() for tensor in model.state_dict().values())


def count_images(dataset: str, limit: int | None) -> int:
    """Number N of images that a dataset is prepared to."""
    published = dataset_info(dataset).images
    return published if limit is None else min(limit, published)


def declares_passes(method: str) -> bool:
    """Tell whether a method's module declares its work; that of a plug-in may not."""
    return hasattr(_module(method), "passes")


def _module(method: str) -> ModuleType:
    return import_module(f"remibench.unlearning.{methods()[method_of(method)].module}")


def count_passes(
    wildcards: Mapping[str, str], params: Mapping[str, Any], roles: Mapping[str, int]
) -> Passes:
    """The images that an unlearning job computes on; arguments as in :func:`count_work`.

    A method that does not declare them is taken to train on the retain set, for its parameter
    ``epochs``, else for as long as the target. Forget ratio 1 is that of a class or another part of
    the training set whose size is not known here: both sets count as all of it, an upper bound.
    """
    method, train = wildcards["method"], roles["target_train"]
    forget = float(wildcards["ratio"]) * train
    images = Images(forget, train - forget % train, roles["out_of_sample"])
    parameters, training = params["parameters"], params["training"]
    if declares_passes(method):
        return call(_module(method), "passes", Passes, images, parameters, training)
    return Passes(training=images.retain * (parameters.get("epochs") or training["epochs"]))


def count_work(
    rule: str,
    wildcards: Mapping[str, str],
    params: Mapping[str, Any],
    spec: ModelSpec,
    roles: Mapping[str, int],
) -> float:
    """Floating-point operations of a job.

    With F operations for an image's forward pass, an image of a training step costs 3F. Of n
    training images a share r is forgotten:

    - train_model: 3F · n · epochs
    - fit_attack: F · (images fitted on + judged on) + 6 · (attack's values) · fitted on · epochs
    - score_members, measure_losses: F · n
    - make_control: for every ratio F · r · n
    - unlearn: what the method declares (:func:`count_passes`)
    - evaluate: for every ratio F · (n + test + out of sample + shadow_test), and 3F · r · n for
      efficacy; once more F · shadow_test, under the shadow model

    Args:
        rule, wildcards, params: The job, as Snakemake records it.
        spec: The shape of its model.
        roles: Number of images of every role.
    """
    flops, train = _image_flops(spec), roles["target_train"]
    if rule == "train_model":
        return 3 * flops * train * params["training"]["epochs"]
    if rule in ("score_members", "measure_losses"):
        return flops * train
    if rule == "make_control":
        return flops * sum(params["ratios"]) * train
    if rule == "fit_attack":
        fitted, judged = (
            sum(roles[role] for role in use[wildcards["adversary"]])
            for use in (FITTED_ON, JUDGED_ON)
        )
        epochs = params["fit"].get("epochs") or 1
        steps = 6 * attack_size(wildcards["attack"], spec) * fitted * epochs
        return flops * (fitted + judged) + steps
    if rule == "evaluate":
        backward = 3 * train if "efficacy" in params["metrics"] else 0
        held = roles[CALIBRATED_ON]
        images = train + roles["test"] + roles["out_of_sample"] + held
        return flops * (held + sum(images + ratio * backward for ratio in params["ratios"]))
    passes = count_passes(wildcards, params, roles)
    return flops * (passes.inference + 3 * passes.training)
