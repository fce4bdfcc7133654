"""ReMI: unlearning guided by a membership fingerprinting (MF) model.

It minimises λ1·L_cls + λ2·L_G with λ1 = 1 − λ2. L_cls is the cross-entropy on training images; L_G
is a Kullback-Leibler divergence between what the MF model says of forget images and what it says
of out-of-sample images. The evaluation section that this project reproduces gives no formula for
L_G; the readings below are ours (``docs/protocol.md``).
"""

from __future__ import annotations

import logging
import math
import time

import torch
from torch.nn import functional

from remibench.errors import DivergedError
from remibench.runtime import Stopwatch, autocast
from remibench.training import History, epoch_randomness
from remibench.unlearning import UnlearningTask

logger = logging.getLogger("remibench")


def bernoulli_kl(forget: torch.Tensor, out_of_sample: torch.Tensor) -> torch.Tensor:
    """KL(Bernoulli(mean of ``forget``) ‖ Bernoulli(mean of ``out_of_sample``)), in nats.

    Args:
        forget, out_of_sample: (B,) membership probabilities.
    """
    tiny = torch.finfo(forget.dtype).eps
    p, q = (values.mean().clamp(tiny, 1 - tiny) for values in (forget, out_of_sample))
    return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()


def gaussian_kl(
    forget: torch.Tensor, out_of_sample: torch.Tensor, std_floor: float
) -> torch.Tensor:
    """KL(N(μ_f, σ_f² + floor²) ‖ N(μ_o, σ_o² + floor²)) of the two batches' moments, in nats.

    Args:
        forget, out_of_sample: (B,) membership probabilities.
        std_floor: Added to both standard deviations in quadrature. An attack's scores can have
            almost no spread, and without a floor the divergence and its gradient then explode.
    """
    mean_f, mean_o = forget.mean(), out_of_sample.mean()
    var_f, var_o = (values.var(correction=0) + std_floor**2 for values in (forget, out_of_sample))
    return 0.5 * ((var_f + (mean_f - mean_o) ** 2) / var_o - 1 + (var_o / var_f).log())


def unlearn(
    task: UnlearningTask,
    *,
    loss: str,
    std_floor: float,
    learning_rate: float,
    lambda2: float,
    max_epochs: int,
    batch_size: int,
    classification_batch_size: int,
    classification_data: str,
) -> History:
    """Unlearn until the MF model calls no larger share of D_f members than of out-of-sample images.

    An epoch is one pass over D_f. The model stays in evaluation mode, so that batch statistics of
    forget images do not leak into it and the loss sees what the attacker sees. Gradients flow
    through the forget branch alone: the out-of-sample scores are the fixed point to reach.

    Args:
        task: The unlearning task, with a guide.
        loss: ``gaussian_kl`` or ``bernoulli_kl``.
        std_floor: Of :func:`gaussian_kl`.
        learning_rate: η of SGD with the target's momentum and weight decay.
        lambda2: Weight of L_G; L_cls has 1 − λ2.
        max_epochs: Stop here at the latest.
        batch_size: Forget images, and as many out-of-sample images, per step.
        classification_batch_size: Images in L_cls per step.
        classification_data: ``train`` (forget and retain set) or ``retain``.

    Returns:
        One record per epoch, epoch 0 being the target model: ``loss_classification``,
        ``loss_membership``, ``seconds``, ``seconds_attack_loss`` and the task's snapshot.

    Raises:
        DivergedError: A loss is not finite.
    """
    device = task.images.device
    optimizer = torch.optim.SGD(
        task.model.parameters(),
        lr=learning_rate,
        momentum=task.training["momentum"],
        weight_decay=task.training["weight_decay"],
        fused=True,
    )
    pool = task.retain
    if classification_data == "train":
        pool = torch.cat((task.forget, task.retain))

    def membership_loss(forget: torch.Tensor, out_of_sample: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            target = task.guide(task.features(out_of_sample))
        scores = task.guide(task.features(forget))
        if loss == "bernoulli_kl":
            return bernoulli_kl(scores, target)
        return gaussian_kl(scores, target, std_floor)

    def classification_loss(batch: torch.Tensor) -> torch.Tensor:
        with autocast(device, task.training["precision"]):
            logits = task.model(task.images[batch])
        return functional.cross_entropy(logits.float(), task.labels[batch])

    history = task.progress.restore(task.model, optimizer) if task.progress else []
    if not history:
        started = time.perf_counter()
        history = [{"epoch": 0, **task.snapshot(), "seconds_attack_loss": 0.0}]
        history[0]["seconds"] = time.perf_counter() - started
    while len(history) <= max_epochs and history[-1]["mf_forget"] > history[-1]["mf_out_of_sample"]:
        epoch, started = len(history), time.perf_counter()
        attack_loss = Stopwatch(device)
        totals = torch.zeros(2, device=device)
        with epoch_randomness(task.seed, epoch, device):
            batches = _shuffled(task.forget).split(batch_size)
            for forget in batches:
                optimizer.zero_grad(set_to_none=True)
                with attack_loss:
                    membership = membership_loss(forget, _draw(task.out_of_sample, len(forget)))
                    (lambda2 * membership).backward()
                classification = classification_loss(_draw(pool, classification_batch_size))
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


def _shuffled(positions: torch.Tensor) -> torch.Tensor:
    return positions[torch.randperm(len(positions)).to(positions.device)]


def _draw(positions: torch.Tensor, count: int) -> torch.Tensor:
    return positions[torch.randint(len(positions), (count,)).to(positions.device)]
