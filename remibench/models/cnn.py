"""The paper's SimpleCNN, taken to be the CNN of ML-Doctor (Liu et al. 2022)."""

from torch import nn

LABEL = "CNN"
MIN_IMAGE_SIZE = 22  # what three unpadded blocks leave at least one pixel of
RESOURCES = {  # see remibench.jobs.resources
    "train_model": (2_000, 40),
    "fit_attack": (2_500, 30),
    "score_members": (2_000, 15),
    "measure_losses": (2_000, 15),
    "make_control": (2_000, 15),
    "unlearn": (2_500, 40),
    "evaluate": (2_500, 15),
}


def build_backbone(channels: int, image_size: int) -> tuple[nn.Module, int]:
    """Three blocks of convolution 3×3, ReLU and 2×2 max-pooling, then a linear layer to 512.

    At 64×64 the first linear layer has 128·6·6 = 4,608 inputs.

    Returns:
        The backbone and its feature width, 512.
    """
    layers: list[nn.Module] = []
    side, width = image_size, channels
    for filters in (32, 64, 128):
        # Pooling before the ReLU gives the same values and gradients from a quarter of the entries.
        layers += [nn.Conv2d(width, filters, kernel_size=3), nn.MaxPool2d(2), nn.ReLU()]
        side, width = (side - 2) // 2, filters
    layers += [nn.Flatten(), nn.Linear(width * side * side, 512), nn.ReLU()]
    return nn.Sequential(*layers), 512
