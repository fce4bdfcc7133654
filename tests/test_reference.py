"""The fast hot paths equal the plain reference code that the benchmarks time them against."""

import copy

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks import reference
from remibench.attacks.features import MembershipFeatures, model_features
from remibench.attacks.whitebox import WhiteBoxAttack
from remibench.per_sample import second_moments, squared_norms
from remibench.seeding import derive_seed
from remibench.training import fit, fit_classifier
from remibench.unlearning import UnlearningTask, remi


def assert_weights_close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_a_training_epoch_equals_one_over_a_data_loader(model, data):
    images, labels = data
    plain = copy.deepcopy(model)
    fit_classifier(
        model,
        images,
        labels,
        what="x",
        seed=5,
        epochs=1,
        learning_rate=0.05,
        momentum=0.9,
        weight_decay=5e-4,
        batch_size=8,
        precision="fp32",
    )
    torch.manual_seed(derive_seed(5, "epoch", 1))
    pictures = [Image.fromarray(image[0].numpy()) for image in images]
    dataset = reference.ImageDataset(pictures, labels, images.shape[-1])
    batches = DataLoader(dataset, 8, sampler=torch.randperm(len(labels)).tolist())
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    reference.train_epoch(plain, batches, optimizer)
    assert_weights_close(model.parameters(), plain.parameters())


@pytest.mark.parametrize(
    "gradients",
    [reference.gradients_over_a_retained_graph, reference.gradients_one_at_a_time],
)
def test_sums_and_norms_equal_those_of_explicit_gradients(model, data, gradients):
    explicit = list(gradients(model, *data))
    assert_weights_close(
        second_moments(model, *data).values(), reference.sum_of_squares(model, explicit)
    )
    torch.testing.assert_close(
        squared_norms(model, *data), reference.squared_norms(explicit), rtol=1e-3, atol=0
    )
    features = model_features(model, *data, "fp32")
    images = reference.gradient_images(features)[:, 0]
    assert_weights_close(images, [each[-2] for each in explicit])


def test_vmap_gives_the_same_gradients(model, data):
    by_name = reference.gradients_by_vmap(model, *data)
    explicit = list(reference.gradients_one_at_a_time(model, *data))
    for index, (name, values) in enumerate(by_name.items()):
        assert_weights_close(values, [each[index] for each in explicit])
        assert name


def test_an_attack_epoch_equals_one_on_images_of_gradients(model, data):
    features = model_features(model, *data, "fp32")
    features = MembershipFeatures(*(tensor.repeat(3, 1) for tensor in features))
    membership = torch.arange(len(features.loss)) % 2
    attack = WhiteBoxAttack(4, 512, "logits")
    for module in attack.modules():  # ours drops factors, the published network entries
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    plain = reference.MaterialisedNetwork(attack.network, dropout=0.0).train()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)  # Adam enlarges rounding errors
    torch.manual_seed(derive_seed(3, "epoch", 1))
    order = torch.randperm(len(membership))
    reference.attack_epoch(plain, features, membership, order, 16, optimizer)

    def batch_loss(batch):
        logits = attack.network(features.take(batch))
        return torch.nn.functional.cross_entropy(logits, membership[batch])

    fit(
        attack,
        torch.optim.SGD(attack.parameters(), lr=0.1),
        batch_loss,
        len(membership),
        what="x",
        epochs=1,
        batch_size=16,
        seed=3,
    )
    ours, theirs = attack.network.state_dict(), plain.network.state_dict()
    theirs |= {f"convolution.{k}": v for k, v in plain.convolution.state_dict().items()}
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-2, atol=1e-5)


def test_a_remi_step_equals_a_double_backward_pass(model, spec, data):
    images, labels = data
    torch.manual_seed(0)
    guide = WhiteBoxAttack(4, 512, "logits").eval().requires_grad_(requires_grad=False)
    plain = reference.MaterialisedNetwork(guide.network).eval()
    forget, outside = slice(0, 8), slice(16, 24)
    expected = reference.remi_gradient(
        model,
        plain,
        (images[forget], labels[forget]),
        (images[outside], labels[outside]),
        (images[:16], labels[:16]),
        lambda2=0.9,
        std_floor=0.2,
    )
    training = {"momentum": 0.0, "weight_decay": 0.0, "precision": "fp32"}
    before = [parameter.detach().clone() for parameter in model.parameters()]
    task = UnlearningTask(
        model=model,
        spec=spec,
        images=images,
        labels=labels,
        forget=torch.arange(8),
        retain=torch.arange(8, 16),
        out_of_sample=torch.arange(16, 24),
        guide=guide,
        training=training,
        training_seed=0,
        seed=0,
    )
    drawn = iter([torch.arange(16, 24), torch.arange(16)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remi, "draw", lambda *_: next(drawn))
        patch.setattr(
            UnlearningTask, "snapshot", lambda *_: {"mf_forget": 1, "mf_out_of_sample": 0}
        )
        history = remi.unlearn(
            task,
            loss="gaussian_kl",
            std_floor=0.2,
            learning_rate=1.0,
            lambda2=0.9,
            momentum=0.0,
            through="all",
            max_epochs=1,
            batch_size=8,
            classification_batch_size=16,
            classification_data="train",
        )
    assert len(history) == 2
    taken = [old - new.detach() for old, new in zip(before, model.parameters(), strict=True)]
    for step, gradient in zip(taken, expected, strict=True):
        torch.testing.assert_close(step, gradient, rtol=1e-2, atol=1e-3 * gradient.abs().max())
