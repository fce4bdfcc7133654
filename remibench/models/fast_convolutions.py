"""Convolutions that a CPU computes faster than PyTorch's, with the same parameters."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# Output positions up to which a product of gathered inputs is faster than oneDNN's convolution.
FEW, FEW_POINTWISE = 4, 64


class Convolution(nn.Conv2d):
    """``nn.Conv2d``, as one matrix product where that is faster on a CPU.

    oneDNN is slow where an output has few positions, as in the last layers of a ResNet or an
    Xception on 64×64 images. There, inputs gathered per position times the
    weight take a half to an eighth of the time in bf16, forward and backward together, and a third
    to nine tenths in fp32. Elsewhere, and on other devices, this is ``nn.Conv2d``.
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) → (N, O, H', W')."""
        plain = self.groups == 1 and self.dilation == (1, 1) and self.padding_mode == "zeros"
        plain = plain and maps.dim() == 4 and not isinstance(self.padding, str)
        if maps.device.type != "cpu" or not plain:
            return super().forward(maps)
        (rows, columns), (vertical, horizontal) = self.kernel_size, self.padding
        height, width = maps.shape[2] + 2 * vertical, maps.shape[3] + 2 * horizontal
        down, right = self.stride
        positions = ((height - rows) // down + 1) * ((width - columns) // right + 1)
        if not 0 < positions <= (FEW_POINTWISE if (rows, columns) == (1, 1) else FEW):
            return super().forward(maps)
        padded = maps.permute(0, 2, 3, 1)
        if self.padding != (0, 0):
            padded = functional.pad(padded, (0, 0, horizontal, horizontal, vertical, vertical))
        windows = padded.unfold(1, rows, down).unfold(2, columns, right)  # (N, H', W', C, k, k)
        patches = windows.permute(0, 1, 2, 4, 5, 3).flatten(3)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # no copy: weights are channels last
        # No view is returned: an operation in place on one would hide this layer's own output.
        return functional.linear(patches, weight, self.bias).permute(0, 3, 1, 2).clone()


def use_fast_convolutions(network: nn.Module) -> None:
    """Make every ``nn.Conv2d`` in a network a :class:`Convolution`; subclasses are left alone."""
    for layer in network.modules():
        if type(layer) is nn.Conv2d:
            layer.__class__ = Convolution
