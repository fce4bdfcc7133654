"""A perceptron with one hidden layer: the smallest architecture that has features."""

from torch import nn


def build_backbone(channels: int, image_size: int) -> tuple[nn.Module, int]:
    """All pixels to 256 features; any image is large enough.

    Returns:
        The backbone and its feature width, 256.
    """
    inputs = channels * image_size**2
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 256), nn.ReLU()), 256
