"""The baselines against written-out optimisation, closed forms and naive loops."""

import copy
import math
from importlib import import_module

import pytest
import torch
from support.tasks import TRAINING, default_parameters, duplicate, weights
from torch.distributions import Categorical, kl_divergence
from torch.nn.functional import cross_entropy

from remibench.artifacts.progress import EpochCheckpoint
from remibench.errors import DivergedError
from remibench.models import build_model
from remibench.seeding import derive_seed
from remibench.unlearning import run_method, wrong_labels
from remibench.unlearning.salun import saliency_mask

TRAINED = ["fine_tune", "neggrad_plus", "random_labels", "bad_teacher", "scrub", "salun"]
WHOLE = {**TRAINING, "batch_size": 16}  # one batch holds every image: its order does not matter


def unlearn(task, name, **changes):
    parameters = default_parameters(name) | changes
    return import_module(f"remibench.unlearning.{name}").unlearn(task, **parameters)


def sgd(model, rate):
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)


def assert_equal_after(task, model, losses, optimizer):
    """The task's model is what that optimiser makes of ``model`` with these losses, in turn.

    Adam's first steps are as long for a gradient that is rounding as for any other.
    """
    for loss in losses:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    close = weights(task.model).isclose(weights(model), rtol=1e-4, atol=1e-6).float().mean()
    assert close > 0.99 if isinstance(optimizer, torch.optim.Adam) else close == 1


def test_fine_tuning_is_gradient_descent_on_the_retain_set(task):
    each = duplicate(task, training=WHOLE)
    plain = copy.deepcopy(task.model)
    kept = task.retain
    unlearn(each, "fine_tune", epochs=3, learning_rate=0.02)

    def loss():
        return cross_entropy(plain(task.images[kept]), task.labels[kept])

    assert_equal_after(each, plain, [loss] * 3, sgd(plain, 0.02))


def test_neggrad_plus_descends_on_the_retain_and_ascends_on_the_forget_set(task):
    """The forget set is one image, so that the draw cannot matter."""
    one = task.forget[:1]
    each = duplicate(task, training=WHOLE, forget=one)
    plain = copy.deepcopy(task.model)
    unlearn(each, "neggrad_plus", epochs=2, learning_rate=0.02, alpha=0.7)

    def loss():
        kept = cross_entropy(plain(task.images[task.retain]), task.labels[task.retain])
        return 0.7 * kept - 0.3 * cross_entropy(plain(task.images[one]), task.labels[one])

    assert_equal_after(each, plain, [loss] * 2, sgd(plain, 0.02))


def test_wrong_labels_are_uniform_over_the_other_classes(task):
    many = duplicate(
        task,
        labels=torch.arange(24_000) % 4,
        forget=torch.arange(0, 24_000, 2),
        retain=torch.arange(1, 24_000, 2),
    )
    labels = wrong_labels(many)
    assert torch.equal(labels[many.retain], many.labels[many.retain])
    shifts = (labels - many.labels)[many.forget] % 4
    counts = shifts.bincount(minlength=4)
    assert counts[0] == 0
    expected = len(many.forget) / 3
    chi_square = ((counts[1:] - expected) ** 2 / expected).sum().item()
    assert chi_square < 13.8, "p < .001 for two degrees of freedom"
    assert torch.equal(labels, wrong_labels(many))


@pytest.mark.parametrize("name", ["random_labels", "salun"])
def test_wrong_labels_are_learnt_beside_the_retain_set(task, name):
    each = duplicate(task, training=WHOLE)
    plain = copy.deepcopy(task.model)
    labels, images = wrong_labels(task)[:16], task.images[:16]
    if name == "salun":
        unlearn(each, name, epochs=3, learning_rate=0.01, share=1.0)
        optimizer = sgd(plain, 0.01)
    else:
        unlearn(each, name, epochs=3, learning_rate=1e-4)
        optimizer = torch.optim.Adam(plain.parameters(), lr=1e-4)
    assert_equal_after(each, plain, [lambda: cross_entropy(plain(images), labels)] * 3, optimizer)


def test_the_bad_teacher_is_a_random_network_and_the_good_one_the_target(task):
    each = duplicate(task)
    plain = copy.deepcopy(task.model)
    bad = build_model(task.spec, derive_seed(task.seed, "bad teacher")).eval()
    settings = {"epochs": 2, "learning_rate": 1e-3, "retain_share": 1.0, "temperature": 2.0}
    history = unlearn(each, "bad_teacher", **settings)
    with torch.no_grad():
        lessons = torch.cat((bad(task.images[:4]), task.model(task.images[4:16]))) / 2

    def loss():
        student = Categorical(logits=plain(task.images[:16]) / 2)
        return kl_divergence(Categorical(logits=lessons), student).mean()

    assert history[0]["loss"] == pytest.approx(loss().item(), rel=1e-4)
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-3)
    assert_equal_after(each, plain, [loss] * 2, optimizer)


def test_the_bad_teacher_uses_a_share_of_the_retain_set(task, monkeypatch):
    """With one retain image of twelve, the images of the other eleven do not matter."""
    changed = []
    for image in range(4, 16):
        images = task.images.clone()
        images[image] = 255 - images[image]
        each = duplicate(task, images=images)
        unlearn(each, "bad_teacher", retain_share=1 / 12)
        changed.append(weights(each.model))
    base = duplicate(task)
    unlearn(base, "bad_teacher", retain_share=1 / 12)
    assert sum(not torch.equal(each, weights(base.model)) for each in changed) == 1


def test_scrub_alternates_away_from_and_back_to_the_teacher(task):
    each = duplicate(task)
    plain = copy.deepcopy(task.model)
    settings = {"learning_rate": 0.01, "alpha": 0.3, "gamma": 0.6, "temperature": 3.0}
    history = unlearn(each, "scrub", **settings, max_steps=2, epochs=3, batch_size=16)
    with torch.no_grad():
        teacher = task.model(task.images[:16]) / 3

    def divergence(positions):
        student = Categorical(logits=plain(task.images[positions]) / 3)
        return 9 * kl_divergence(Categorical(logits=teacher[positions]), student).mean()

    def away():
        return -divergence(task.forget)

    def back():
        loss = cross_entropy(plain(task.images[task.retain]), task.labels[task.retain])
        return 0.6 * loss + 0.3 * divergence(task.retain)

    assert_equal_after(each, plain, [away, back, away, back, back], sgd(plain, 0.01))
    assert ["divergence_forget" in record for record in history] == [True, True, False]
    assert history[0]["divergence_forget"] == pytest.approx(0, abs=1e-5), "student is teacher"


def test_scrub_leaves_no_batch_of_one_image(task):
    """Thirteen retain images in batches of four would leave one, which batch-norm refuses."""
    spec = task.spec.__class__(**{**task.spec.__dict__, "architecture": "resnet18"})
    model = build_model(spec, 0).eval()
    each = duplicate(task, retain=torch.arange(4, 17))
    object.__setattr__(each, "model", model)
    history = unlearn(each, "scrub", epochs=1, batch_size=4)
    assert len(history) == 1


def test_the_saliency_mask_holds_the_greatest_gradients(task):
    plain = copy.deepcopy(task.model)
    cross_entropy(plain(task.images[:4]), task.labels[:4]).backward()
    sizes = torch.cat([weight.grad.abs().flatten() for weight in plain.parameters()])
    mask = torch.cat([part.flatten() for part in saliency_mask(task, 0.05)])
    count = -(-len(sizes) * 5 // 100)
    assert mask.sum() == count
    assert sizes[mask].min() >= sizes[~mask].max()


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.99, 1.0])
def test_the_saliency_mask_has_its_share_whatever_the_ties(task, share):
    """A third of the gradients are zeros here, as those of dead units are."""
    with torch.no_grad():
        task.model.head.weight[:, ::2] = 0
        task.model.backbone[0].bias[: len(task.model.backbone[0].bias) // 2] = -1e6
    plain = copy.deepcopy(task.model)
    cross_entropy(plain(task.images[:4]), task.labels[:4]).backward()
    sizes = torch.cat([weight.grad.abs().flatten() for weight in plain.parameters()])
    assert (sizes == 0).float().mean() > 0.1
    mask = torch.cat([part.flatten() for part in saliency_mask(task, share)])
    count = math.ceil(round(share * len(sizes), 6))
    assert mask.sum() == count
    naive = torch.zeros_like(mask)
    naive[sizes.argsort(descending=True, stable=True)[:count]] = True
    assert torch.equal(mask, naive)
    for part, weight in zip(saliency_mask(task, share), task.model.parameters(), strict=True):
        assert part.shape == weight.shape


def test_salun_leaves_weights_outside_the_mask_as_they_are_to_the_bit(task):
    before = weights(task.model)
    mask = torch.cat([part.flatten() for part in saliency_mask(task, 0.3)])
    unlearn(task, "salun", epochs=3, learning_rate=0.05, share=0.3)
    assert torch.equal(weights(task.model)[~mask], before[~mask])
    changed = weights(task.model)[mask] != before[mask]
    assert changed.float().mean() > 0.9


def test_ssd_dampens_by_mean_squared_per_sample_gradients(task):
    """Against one backward pass per image, in double precision."""
    plain = copy.deepcopy(task.model)
    sums = []
    for positions in (task.forget, torch.arange(16)):
        squares = [torch.zeros_like(weight) for weight in plain.parameters()]
        for at in positions:
            plain.zero_grad()
            cross_entropy(plain(task.images[at : at + 1]), task.labels[at : at + 1]).backward()
            for square, weight in zip(squares, plain.parameters(), strict=True):
                square += weight.grad**2 / len(positions)
        sums.append(torch.cat([square.flatten() for square in squares]))
    forget, training = sums
    old = weights(plain)
    expected = torch.where(
        forget > 1.5 * training, old * (0.8 * training / forget).clamp(max=1), old
    )
    unlearn(task, "ssd", alpha=1.5, dampening=0.8)
    assert (expected != old).float().mean() > 0.02
    torch.testing.assert_close(weights(task.model), expected, rtol=1e-3, atol=1e-6)


def test_ssd_cannot_select_a_weight_where_alpha_is_above_the_inverse_forget_ratio(task):
    """F_D ≥ (n_f / n)·F_f: at a quarter, F_f is at most four times F_D."""
    before = weights(task.model)
    unlearn(task, "ssd", alpha=4.01, dampening=1.0)
    assert torch.equal(weights(task.model), before)


@pytest.mark.parametrize("name", TRAINED)
def test_a_resumed_run_equals_the_uninterrupted_one(task, name, tmp_path):
    class Interrupted(EpochCheckpoint):
        def save(self, model, optimizer, history):
            super().save(model, optimizer, history)
            if len(history) == 2:
                raise KeyboardInterrupt

    settings = {"epochs": 4, "learning_rate": 1e-3}
    whole = duplicate(task)
    expected = unlearn(whole, name, **settings)
    path = tmp_path / "progress.safetensors"
    with pytest.raises(KeyboardInterrupt):
        unlearn(duplicate(task, progress=Interrupted(path, "x", 0)), name, **settings)
    resumed = duplicate(task, progress=EpochCheckpoint(path, "x", 0))
    history = unlearn(resumed, name, **settings)
    assert torch.equal(weights(resumed.model), weights(whole.model))
    losses = [[record["loss"] for record in each] for each in (history, expected)]
    assert losses[0] == losses[1]
    assert len(history) == 4


@pytest.mark.parametrize("name", TRAINED)
def test_a_run_that_diverges_says_so(task, name):
    parameters = default_parameters(name)
    with pytest.raises(DivergedError, match="lower the learning rate"):
        run_method(name, task, {**parameters, "learning_rate": 1e30, "epochs": 3})


@pytest.mark.parametrize("name", [*TRAINED, "ssd"])
def test_same_seed_same_model_and_the_global_generator_is_left_alone(task, name):
    runs = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        state = torch.get_rng_state()
        each = duplicate(task)
        unlearn(each, name)
        assert torch.equal(torch.get_rng_state(), state)
        assert not each.model.training
        runs.append(weights(each.model))
    assert torch.equal(*runs)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("neggrad_plus", {"epochs": 20, "alpha": 0.6}),
        ("random_labels", {"epochs": 10, "learning_rate": 1e-3}),
        ("bad_teacher", {"epochs": 20, "learning_rate": 1e-3, "retain_share": 1.0}),
        ("scrub", {"epochs": 8, "max_steps": 6, "learning_rate": 5e-3, "batch_size": 4}),
        ("salun", {"epochs": 20}),
        ("ssd", {"alpha": 1.0}),
    ],
)
def test_forgetting_raises_the_loss_on_the_forget_set_more_than_on_the_retain_set(
    task, name, settings
):
    def losses():
        with torch.no_grad():
            return torch.stack([task.loss(task.forget), task.loss(task.retain)])

    before = losses()
    unlearn(task, name, **settings)
    rise = losses() - before
    assert rise[0] > 0.05
    assert rise[0] > rise[1]
