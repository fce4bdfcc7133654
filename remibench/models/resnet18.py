"""ResNet-18 (He et al. 2016), torchvision's."""

import torch
from torch import nn
from torchvision.models import resnet18

LABEL = "ResNet18"
RESOURCES = {  # see remibench.jobs.resources
    "train_model": (2_500, 240),
    "fit_attack": (2_500, 30),
    "score_members": (2_000, 15),
    "measure_losses": (2_000, 15),
    "make_control": (2_000, 15),
    "unlearn": (3_000, 240),
    "evaluate": (2_500, 30),
}


def build_backbone(channels: int, image_size: int) -> tuple[nn.Module, int]:
    """Torchvision's ``resnet18`` up to its global average pooling, for any number of channels.

    Any image size will do; the first 7×7 convolution and the pooling divide it by 32 in all.

    Returns:
        The backbone and its feature width, 512.
    """
    network = resnet18()
    if channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.fc = nn.Identity()
    return network, 512


def scale_features(backbone: nn.Module, factors: torch.Tensor) -> None:
    """Multiply the features (512,) by positive factors (512,), in place.

    The features are the mean of the last stage's second block, to which the first is added: both
    blocks' outputs are scaled, and the input of the second block's first convolution is scaled
    back.
    """
    first, second = backbone.layer4
    for layer in (first.bn2, first.downsample[1], second.bn2):
        layer.weight.data *= factors
        layer.bias.data *= factors
    second.conv1.weight.data /= factors[:, None, None]
