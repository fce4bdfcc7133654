"""The hot paths as the field writes them today: slow, plain, and what ours must equal.

The tests compare numbers with them, ``benchmarks/`` compares times.
"""

import copy
from collections.abc import Iterator

import torch
from PIL import Image
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import transforms

from remibench.attacks.features import MembershipFeatures
from remibench.attacks.whitebox import WhiteBoxNetwork
from remibench.models import Classifier
from remibench.unlearning.remi import gaussian_kl


class ImageDataset(Dataset):
    """PIL images, resized and normalised one by one when they are asked for."""

    def __init__(self, images: list[Image.Image], labels: torch.Tensor, size: int) -> None:
        self.images, self.labels = images, labels
        self.transform = transforms.Compose(
            [
                transforms.Resize((size, size)),
                transforms.ToTensor(),
                transforms.Normalize((0.13,), (0.31,)),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[index]), int(self.labels[index])


def train_epoch(model: Classifier, batches: DataLoader, optimizer: torch.optim.Optimizer) -> float:
    """One epoch in single precision over normalised float batches; the mean loss."""
    model.train()
    total = 0.0
    for images, labels in batches:
        loss = functional.cross_entropy(model.head(model.backbone(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
    return total / len(batches.dataset)


def gradients_over_a_retained_graph(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch_size: int = 64
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Every sample's gradient of its loss: one backward pass each over the graph of its batch."""
    parameters = list(model.parameters())
    for batch, targets in zip(images.split(batch_size), labels.split(batch_size), strict=True):
        for loss in functional.cross_entropy(model(batch), targets, reduction="none"):
            yield torch.autograd.grad(loss, parameters, retain_graph=True)


def gradients_one_at_a_time(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Every sample's gradient of its loss: one forward and one backward pass each."""
    return gradients_over_a_retained_graph(model, images, labels, batch_size=1)


def gradients_by_vmap(
    model: Classifier, images: torch.Tensor, labels: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Gradients of the loss of all samples at once, by parameter: (N, *shape)."""
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    plain = copy.copy(model)  # whose input step vmap can transform
    plain.normalise = lambda batch: torch.addcmul(plain._shift, batch.float(), plain._scale)

    def loss(parameters: dict, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(
            functional_call(plain, parameters, image[None]), label[None]
        )

    return vmap(grad(loss), in_dims=(None, 0, 0))(parameters, images, labels)


def sum_of_squares(model: nn.Module, gradients) -> list[torch.Tensor]:
    """Σ_n g_n² per parameter, of an iterator of gradients."""
    totals = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for gradient in gradients:
        for total, values in zip(totals, gradient, strict=True):
            total += values.square()
    return totals


def squared_norms(gradients) -> torch.Tensor:
    """‖g_n‖² of every sample, of an iterator of gradients."""
    return torch.stack([sum(values.square().sum() for values in each) for each in gradients])


class MaterialisedNetwork(nn.Module):
    """The white-box network with the gradient as an image, dropped out and convolved as one."""

    def __init__(self, network: WhiteBoxNetwork, dropout: float = 0.2) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.convolution = nn.Conv2d(1, 1, 5, padding=2)
        self.convolution.load_state_dict(network.convolution.state_dict())
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, logits: torch.Tensor, loss: torch.Tensor, image: torch.Tensor, label: torch.Tensor
    ) -> torch.Tensor:
        """(N, C), (N, 1), (N, 1, C, H), (N, C) → (N, 2) logits of (non-member, member)."""
        network = self.network
        branches = (
            network.outputs(logits.sort(dim=1, descending=True).values),
            network.loss(loss),
            network.gradient(self.convolution(self.dropout(image))),
            network.label(label),
        )
        return network.encoder(torch.cat(branches, dim=1))


def gradient_images(features: MembershipFeatures) -> torch.Tensor:
    """The last layer's gradients themselves: (N, 1, C, H)."""
    return (features.error[:, :, None] * features.hidden[:, None])[:, None]


def attack_epoch(
    network: MaterialisedNetwork,
    features: MembershipFeatures,
    membership: torch.Tensor,
    order: torch.Tensor,
    batch_size: int,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Train the attack for one epoch in the given order, on images of gradients."""
    images = gradient_images(features)
    data = TensorDataset(features.logits, features.loss, images, features.label, membership)
    for *inputs, target in DataLoader(data, batch_size, sampler=order.tolist()):
        loss = functional.cross_entropy(network(*inputs), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def membership_scores(
    model: Classifier, guide: MaterialisedNetwork, images: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Membership probabilities (N,), differentiable twice: every sample's gradient has a graph."""
    logits = model(images)
    losses = functional.cross_entropy(logits, labels, reduction="none")
    gradients = [
        torch.autograd.grad(loss, list(model.parameters()), create_graph=True)[-2]
        for loss in losses
    ]  # of all parameters, as ``loss.backward()`` makes them; the last weight's is used
    label = functional.one_hot(labels, logits.shape[1]).float()
    return guide(logits, losses[:, None], torch.stack(gradients)[:, None], label).softmax(1)[:, 1]


def remi_gradient(
    model: Classifier,
    guide: MaterialisedNetwork,
    forget: tuple[torch.Tensor, torch.Tensor],
    out_of_sample: tuple[torch.Tensor, torch.Tensor],
    classification: tuple[torch.Tensor, torch.Tensor],
    lambda2: float,
    std_floor: float,
) -> list[torch.Tensor]:
    """Gradient of ReMI's loss, one per parameter: a backward pass through per-sample gradients."""
    target = membership_scores(model, guide, *out_of_sample).detach()
    membership = gaussian_kl(membership_scores(model, guide, *forget), target, std_floor)
    images, labels = classification
    loss = functional.cross_entropy(model(images), labels)
    total = lambda2 * membership + (1 - lambda2) * loss
    return list(torch.autograd.grad(total, list(model.parameters())))
