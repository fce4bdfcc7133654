"""A classifier and images as a user of the library brings them: nothing here is of remibench."""

import torch
from torch import nn


class SmallNet(nn.Module):
    """A residual block with batch-norm, dropout and a linear layer, on grey images."""

    def __init__(self, classes=3, bias=True):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8))
        self.dropout = nn.Dropout(0.2)
        self.classify = nn.Linear(8, classes, bias=bias)

    def penultimate(self, images):
        hidden = self.stem(images)
        hidden = torch.relu(hidden + self.block(hidden))
        return self.dropout(hidden.mean((2, 3)))

    def forward(self, images):
        return self.classify(self.penultimate(images))


def images_of(count, seed, classes=3, size=12):
    """uint8 images (N, 1, 12, 12), noise with a bright bar whose place is the class, and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    images = torch.randint(140, (count, 1, size, size), generator=generator)
    for image, label in zip(images, labels, strict=True):
        image[:, :, 4 * label : 4 * label + 3] += 100
    return images.to(torch.uint8), labels


def trained(train, seed=0, epochs=15, net=SmallNet):
    """The classifier, fitted to images by a plain loop, in training mode."""
    images, labels = train
    torch.manual_seed(seed)
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(16):
            loss = nn.functional.cross_entropy(model(images[batch] / 255), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model
