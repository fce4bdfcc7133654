"""ReMI: unlearning guided by a membership fingerprinting (MF) model.

It minimises λ1·L_cls + λ2·L_G with λ1 = 1 − λ2. L_cls is the cross-entropy on training images; L_G
is a Kullback-Leibler divergence between what the MF model says of forget images and what it says
of out-of-sample images. The evaluation section that this project reproduces gives no formula for
L_G; the readings below are ours, and docs/remi.md compares them.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch

from remibench.attacks.features import MembershipFeatures, model_features
from remibench.errors import DivergedError, RemibenchError
from remibench.jobs.torch_setup import Stopwatch
from remibench.training import History, epoch_randomness
from remibench.unlearning import Images, Passes, UnlearningTask, draw, sgd, shuffled

if TYPE_CHECKING:
    from pydantic import Field

    from remibench.components.bounds import Positive, PositiveFloat

GUIDES = ("whitebox", "blackbox", "whitebox_published")
LABEL = "ReMI"
COLOUR = {"whitebox": "#006fb1", "blackbox": "#59b1e9", "whitebox_published": "#162c6f"}
MARKER = {"whitebox": "^", "blackbox": "v", "whitebox_published": ">"}
ORDER = 30
SEARCH = {"learning_rate": [0.0005, 0.002, 0.01, 0.03, 0.1], "lambda2": [0.9, 0.98, 0.998]}
REFUSES = (
    (
        {"reference": "target", "out_of_sample_gradient": True},
        "`reference: target` fixes the out-of-sample scores: they have no gradient; "
        "set `out_of_sample_gradient: false` or `reference: current`",
    ),
)
logger = logging.getLogger("remibench")


def bernoulli_kl(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """KL(Bernoulli(mean of ``first``) ‖ Bernoulli(mean of ``second``)), in nats.

    Args:
        first, second: (B,) membership probabilities.
    """
    return _bernoulli(first.mean(), second.mean())


def paired_kl(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Mean over i of KL(Bernoulli(first_i) ‖ Bernoulli(second_i)), in nats.

    Args:
        first, second: (B,) membership probabilities of unrelated images, paired by position.
    """
    return _bernoulli(first, second).mean()


def _bernoulli(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    tiny = torch.finfo(first.dtype).eps
    p, q = (values.clamp(tiny, 1 - tiny) for values in (first, second))
    return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()


def gaussian_kl(first: torch.Tensor, second: torch.Tensor, std_floor: float) -> torch.Tensor:
    """KL(N(μ₁, σ₁² + floor²) ‖ N(μ₂, σ₂² + floor²)) of the two batches' moments, in nats.

    Args:
        first, second: (B,) scores.
        std_floor: Added to both standard deviations in quadrature. An attack's scores can have
            almost no spread, and without a floor the divergence and its gradient then explode.
    """
    mean_1, mean_2 = first.mean(), second.mean()
    var_1, var_2 = (values.var(correction=0) + std_floor**2 for values in (first, second))
    return 0.5 * ((var_1 + (mean_1 - mean_2) ** 2) / var_2 - 1 + (var_2 / var_1).log())


def gaussian_bound(first: torch.Tensor, second: torch.Tensor, std: float) -> torch.Tensor:
    """Upper bound of the KL between two mixtures of Gaussians centred at the scores, in nats.

    The divergence is convex in both arguments, so that of (1/B) Σ_i N(first_i, s²) from
    (1/B) Σ_j N(second_j, s²) is at most the mean over all pairs of (first_i − second_j)² / 2s²,
    which is (σ₁² + σ₂² + (μ₁ − μ₂)²) / 2s². It is the same in both directions.

    Args:
        first, second: (B,) scores.
        std: s.
    """
    spread = first.var(correction=0) + second.var(correction=0)
    return (spread + (first.mean() - second.mean()) ** 2) / (2 * std**2)


def let_through(features: MembershipFeatures, through: str) -> MembershipFeatures:
    """The features, constant but for those that gradients flow through; see :func:`unlearn`."""
    if through == "all":
        return features
    fixed = {
        name: getattr(features, name).detach() for name in ("error", "hidden", "contributions")
    }
    if through == "outputs":
        fixed["loss"] = features.loss.detach()
    return features._replace(**fixed)


def unlearn(
    task: UnlearningTask,
    *,
    loss: Literal["gaussian_kl", "gaussian_bound", "bernoulli_kl", "paired_kl"] = "gaussian_kl",
    scores: Literal["probability", "logit"] = "probability",
    std_floor: PositiveFloat = 0.2,
    direction: Literal["from_forget", "from_out_of_sample"] = "from_out_of_sample",
    out_of_sample_gradient: bool = False,
    through: Literal["outputs", "outputs_and_loss", "all"] = "outputs",
    reference: Literal["current", "target"] = "current",
    learning_rate: PositiveFloat = 1e-2,
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    lambda2: Annotated[float, Field(gt=0, le=1)] = 0.98,
    max_epochs: Positive = 60,
    epoch_over: Literal["forget", "retain"] = "forget",
    stop: Literal["matched", "never"] = "matched",
    batch_size: Positive = 64,
    classification_batch_size: Positive = 256,
    classification_data: Literal["train", "retain", "forget"] = "forget",
) -> History:
    """Unlearn until the MF model calls no larger share of D_f members than of out-of-sample images.

    The model stays in evaluation mode, so that batch statistics of forget images do not leak into
    it and the loss sees what the attacker sees.

    Args:
        task: The unlearning task, with a guide.
        loss: Reading of L_G, see docs/remi.md.
        scores: Scores that Gaussian readings compare: probabilities of membership or their logits.
        std_floor: Added to both deviations in gaussian_kl; the deviation in gaussian_bound.
        direction: First argument of the divergence: forget set or out-of-sample images.
        out_of_sample_gradient: Let gradients flow through the out-of-sample branch, too; otherwise
            its scores are the fixed point to reach.
        through: Inputs of the guide that gradients flow through: the classifier's outputs; these
            and the loss; all, with the gradient of the last layer. The others are constants.
        reference: Model that the out-of-sample scores come from: the current model, so that the
            point to reach moves with it, or the target model, so that it stays.
        learning_rate: η of SGD, with the target's weight decay.
        momentum: Momentum of SGD.
        lambda2: Weight of L_G; L_cls has 1 − λ2.
        max_epochs: Stop here at the latest.
        epoch_over: An epoch has as many steps as a pass over the forget set (in batches of
            batch_size) or over the retain set (in batches of classification_batch_size).
        stop: matched: once MF calls no larger share of D_f members than of out-of-sample images;
            never: after max_epochs.
        batch_size: Forget images, and as many out-of-sample images, per step.
        classification_batch_size: Images in L_cls per step.
        classification_data: Images of L_cls: forget and retain set, or one of them.

    Returns:
        One record per epoch, epoch 0 being the target model: ``loss_classification``,
        ``loss_membership``, ``seconds``, ``seconds_attack_loss`` and the task's snapshot.

    Raises:
        DivergedError: A loss is not finite.
        RemibenchError: Gradients are asked for of scores that are fixed, or the guide does not see
            what gradients flow through.
    """
    if reference == "target" and out_of_sample_gradient:
        raise RemibenchError(f"remi: {REFUSES[0][1]}")
    device = task.images.device
    optimizer = sgd(task, learning_rate, momentum)
    pools = {
        "train": torch.cat((task.forget, task.retain)),
        "retain": task.retain,
        "forget": task.forget,
    }
    pool = pools[classification_data]

    def score(positions: torch.Tensor) -> torch.Tensor:
        return task.guide(let_through(task.features(positions), through))

    def membership_loss(forget: torch.Tensor, out_of_sample: torch.Tensor) -> torch.Tensor:
        if reference == "target":
            other = fixed[out_of_sample]
        else:
            with torch.set_grad_enabled(out_of_sample_gradient):
                other = score(out_of_sample)
        pair = (score(forget), other)
        if direction == "from_out_of_sample":
            pair = pair[::-1]
        if loss == "bernoulli_kl":
            return bernoulli_kl(*pair)
        if loss == "paired_kl":
            return paired_kl(*pair)
        if scores == "logit":
            pair = [torch.logit(values, eps=1e-6) for values in pair]
        return (gaussian_kl if loss == "gaussian_kl" else gaussian_bound)(*pair, std_floor)

    def forget_batches() -> Sequence[torch.Tensor]:
        if epoch_over == "forget":
            return shuffled(task.forget).split(batch_size)
        steps = math.ceil(len(task.retain) / classification_batch_size)
        return [draw(task.forget, batch_size) for _ in range(steps)]

    if reference == "target":  # before a resumed run takes the place of the target model
        outside = task.images[task.out_of_sample], task.labels[task.out_of_sample]
        scored = task.guide(model_features(task.model, *outside, task.training["precision"]))
        fixed = torch.full((len(task.labels),), torch.nan, device=device)
        fixed[task.out_of_sample] = scored
    history = task.progress.restore(task.model, optimizer) if task.progress else []
    if not history:
        started = time.perf_counter()
        history = [{"epoch": 0, **task.snapshot(), "seconds_attack_loss": 0.0}]
        history[0]["seconds"] = time.perf_counter() - started
    while len(history) <= max_epochs and (
        stop == "never" or history[-1]["mf_forget"] > history[-1]["mf_out_of_sample"]
    ):
        epoch, started = len(history), time.perf_counter()
        attack_loss = Stopwatch(device)
        totals = torch.zeros(2, device=device)
        with epoch_randomness(task.seed, epoch, device):
            batches = forget_batches()
            for forget in batches:
                optimizer.zero_grad(set_to_none=True)
                with attack_loss:
                    membership = membership_loss(forget, draw(task.out_of_sample, len(forget)))
                    if not membership.requires_grad:
                        raise RemibenchError(
                            f"remi: the guide sees nothing of what gradients flow `through`, "
                            f"{through}; set `through: all`"
                        )
                    (lambda2 * membership).backward()
                classification = task.loss(draw(pool, classification_batch_size))
                ((1 - lambda2) * classification).backward()
                optimizer.step()
                totals += torch.stack((classification.detach(), membership.detach()))
        means = (totals / len(batches)).tolist()
        if not all(math.isfinite(mean) for mean in means):
            raise DivergedError(
                f"remi: the loss became {sum(means)} in epoch {epoch} at learning rate "
                f"{learning_rate}; lower the learning rate"
            )
        record = {"epoch": epoch, "loss_classification": means[0], "loss_membership": means[1]}
        record |= task.snapshot()
        record |= {
            "seconds": time.perf_counter() - started,
            "seconds_attack_loss": attack_loss.seconds,
        }
        history.append(record)
        logger.info(
            "remi: epoch %d, MF positive rate %.3f on the forget set, %.3f out of sample",
            epoch,
            record["mf_forget"],
            record["mf_out_of_sample"],
        )
        if task.progress:
            task.progress.save(task.model, optimizer, history)
    return history


def passes(images: Images, parameters: Mapping[str, Any], training: Mapping[str, Any]) -> Passes:
    """Count the images of ``max_epochs`` epochs; a run that the rule stops has fewer."""
    steps, guided = math.ceil(images.forget / parameters["batch_size"]), images.forget
    if parameters["epoch_over"] == "retain":
        steps = math.ceil(images.retain / parameters["classification_batch_size"])
        guided = steps * parameters["batch_size"]
    classified = steps * parameters["classification_batch_size"]
    watched = images.forget + images.out_of_sample  # by the rule, and once at the start
    inference, training_images = watched, guided + classified
    if parameters["out_of_sample_gradient"]:
        training_images += guided
    elif parameters["reference"] != "target":
        inference += guided
    epochs = parameters["max_epochs"]
    return Passes(watched + epochs * inference, epochs * training_images)
