"""Xception as in Figure 5 of Chollet 2017, without the optional fully connected layers."""

from itertools import pairwise

import torch
from torch import nn

LABEL = "Xception"
MIN_IMAGE_SIZE = 7  # for the two unpadded convolutions
RESOURCES = {  # see remibench.jobs.resources
    "train_model": (3_000, 600),
    "fit_attack": (3_000, 60),
    "score_members": (2_500, 15),
    "measure_losses": (2_500, 15),
    "make_control": (2_500, 15),
    "unlearn": (5_000, 600),
    "evaluate": (3_500, 60),
}


def build_backbone(channels: int, image_size: int) -> tuple[nn.Module, int]:
    """Entry flow, eight middle blocks and exit flow, up to the global average pooling.

    Batch-norm follows every convolution, which therefore has no bias.

    Returns:
        The backbone and its feature width, 2048.
    """
    layers: list[nn.Module] = []
    for width, filters, stride in ((channels, 32, 2), (32, 64, 1)):
        layers += [
            nn.Conv2d(width, filters, kernel_size=3, stride=stride, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(inplace=True),
        ]
    layers += [
        _Block((64, 128, 128), downsample=True, activate_first=False),
        _Block((128, 256, 256), downsample=True),
        _Block((256, 728, 728), downsample=True),
        *(_Block((728, 728, 728, 728)) for _ in range(8)),
        _Block((728, 728, 1024), downsample=True),
    ]
    for width, filters in ((1024, 1536), (1536, 2048)):
        layers += [*_separable(width, filters), nn.ReLU(inplace=True)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers), 2048


class _Block(nn.Module):
    """ReLU and separable convolution in turn, added to the input.

    Args:
        widths: Channels of the input and after every separable convolution.
        downsample: Halve the resolution: max-pooling here, a 1×1 convolution of stride 2 there.
        activate_first: Whether a ReLU precedes the first convolution too.
    """

    def __init__(
        self, widths: tuple[int, ...], downsample: bool = False, activate_first: bool = True
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, (width, filters) in enumerate(pairwise(widths)):
            if index or activate_first:  # the first ReLU's input is the shortcut's as well
                layers.append(nn.ReLU(inplace=index > 0))
            layers += _separable(width, filters)
        self.shortcut = nn.Identity()
        if downsample:
            layers.append(nn.MaxPool2d(kernel_size=3, stride=2, padding=1))
            self.shortcut = nn.Sequential(
                nn.Conv2d(widths[0], widths[-1], kernel_size=1, stride=2, bias=False),
                nn.BatchNorm2d(widths[-1]),
            )
        self.residual = nn.Sequential(*layers)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        return self.residual(maps) + self.shortcut(maps)


def _separable(width: int, filters: int) -> list[nn.Module]:
    """A depthwise 3×3 convolution, a pointwise one to ``filters`` channels, and batch-norm."""
    return [
        nn.Conv2d(width, width, kernel_size=3, padding=1, groups=width, bias=False),
        nn.Conv2d(width, filters, kernel_size=1, bias=False),
        nn.BatchNorm2d(filters),
    ]
