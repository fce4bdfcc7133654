"""VGG-19 (Simonyan & Zisserman 2015), torchvision's, without batch-norm."""

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import vgg19

LABEL = "VGG19"
MIN_IMAGE_SIZE = 32  # for five poolings
RESOURCES = {  # see remibench.jobs.resources
    "train_model": (7_000, 1_200),
    "fit_attack": (4_500, 120),
    "score_members": (3_500, 30),
    "measure_losses": (3_500, 30),
    "make_control": (3_500, 30),
    "unlearn": (8_000, 1_200),
    "evaluate": (4_500, 120),
}


def build_backbone(channels: int, image_size: int) -> tuple[nn.Module, int]:
    """Torchvision's ``vgg19`` up to its second linear layer, initialised so that it trains.

    All weights are normal with variance 2 / fan-in (He et al. 2015), biases zero, so that a signal
    keeps its size through 18 layers of ReLU. Torchvision's own (fan-out for convolutions, deviation
    .01 for linear layers) shrinks it: logits of different images first differ by .0015, not by .06,
    and training may stay at the loss of a constant output, ln 10. On 1,280 images of Fashion-MNIST
    at 32×32 at the protocol's rate, bf16, the loss fell below half of that within 6, 9 and 7 epochs
    (of 20 steps) on three seeds; with torchvision's, on one of two seeds, within 7; on the other
    it was 2.301 after 10.

    Returns:
        The backbone and its feature width, 4096.
    """
    network = vgg19(init_weights=False)
    if channels != 3:
        network.features[0] = nn.Conv2d(channels, 64, kernel_size=3, padding=1)
    network.avgpool = _AveragePool()
    network.classifier = network.classifier[:-1]
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return network, 4096


class _AveragePool(nn.Module):
    """Adaptive average pooling to 7×7, as two matrix products.

    The same function as torch's, whose backward pass is not deterministic on a GPU and is refused
    there.
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C, 7, 7)."""
        rows, columns = (
            functional.adaptive_avg_pool1d(
                torch.eye(side, device=maps.device, dtype=maps.dtype)[None], 7
            )[0]
            for side in maps.shape[2:]
        )
        return rows.T @ maps @ columns
