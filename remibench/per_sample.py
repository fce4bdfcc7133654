"""Squared per-sample gradients, exactly, from one forward and one backward pass.

With L = Σ_n log p(y_n | x_n), the gradient δ of L with respect to a layer's output holds every
sample's own error signal, because samples do not interact in evaluation mode. Together with the
layer's input a it gives each sample's weight gradient g_n, hence:

- linear layer: g_n = δ_n a_nᵀ, so Σ_n g_n² = (δ²)ᵀ a² and ‖g_n‖² = ‖δ_n‖² ‖a_n‖²;
- convolution: g_n = δ_n U_nᵀ with U = unfold(a), one small matrix product per sample, then squared
  and summed; for norms the Gram form Σ_{tt'} (U_nᵀU_n)(δ_nᵀδ_n) where it is cheaper.

No path holds N × |w| gradients: batches are cut so that a convolution's products fit ``BUFFER``.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

BUFFER = 2**25  # floats held at once for a layer's per-sample products (128 MiB)


def second_moments(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch_size: int = 64
) -> dict[str, torch.Tensor]:
    """Σ_n (∂ log p(y_n | x_n) / ∂w)² for every parameter: the diagonal of the empirical Fisher.

    Args:
        model: A classifier in evaluation mode, of linear layers, convolutions and layers without
            parameters.
        images: (N, C, S, S) uint8.
        labels: (N,) int64.
        batch_size: Images per backward pass; the result does not depend on it but by rounding.

    Returns:
        Parameter name → tensor of the parameter's shape, float32.

    Raises:
        NotImplementedError: A layer with parameters has no exact formula here.
    """
    sums = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    for signals in _signals(model, images, labels, batch_size):
        for name, layer, inputs, deltas in signals:
            for parameter, value in _layer(layer).square_sums(layer, inputs, deltas).items():
                sums[f"{name}.{parameter}"] += value
    return sums


def squared_norms(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch_size: int = 64
) -> torch.Tensor:
    """‖∂ log p(y_n | x_n) / ∂w‖² over all parameters, for every sample: (N,) float32.

    Arguments and errors as in :func:`second_moments`.
    """
    return torch.cat(
        [
            sum(_layer(layer).norms(layer, inputs, deltas) for _, layer, inputs, deltas in signals)
            for signals in _signals(model, images, labels, batch_size)
        ]
    )


Signal = tuple[str, nn.Module, torch.Tensor, torch.Tensor]


def _signals(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch_size: int
) -> Iterator[list[Signal]]:
    """Yield (name, layer, input a, output gradient δ) of every layer with parameters, per batch."""
    layers = {
        module: name
        for name, module in model.named_modules()
        if list(module.parameters(recurse=False))
    }
    for layer in layers:
        _layer(layer)
    trainable = [parameter.requires_grad for parameter in model.parameters()]
    captured: list[tuple[nn.Module, torch.Tensor, torch.Tensor]] = []

    def capture(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        captured.append((module, inputs[0].detach(), output))

    handles = [layer.register_forward_hook(capture) for layer in layers]
    try:
        model.requires_grad_(requires_grad=True)
        for image_batch, label_batch in zip(
            images.split(batch_size), labels.split(batch_size), strict=True
        ):
            captured.clear()
            with torch.enable_grad():
                log_likelihood = -functional.cross_entropy(
                    model(image_batch), label_batch, reduction="sum"
                )
                deltas = torch.autograd.grad(log_likelihood, [output for _, _, output in captured])
            yield [
                (layers[module], module, inputs, delta)
                for (module, inputs, _), delta in zip(captured, deltas, strict=True)
            ]
    finally:
        for handle in handles:
            handle.remove()
        for parameter, flag in zip(model.parameters(), trainable, strict=True):
            parameter.requires_grad_(flag)


class _Linear:
    @staticmethod
    def square_sums(layer, inputs, deltas) -> dict[str, torch.Tensor]:
        squares = {"weight": deltas.square().T @ inputs.square()}
        if layer.bias is not None:
            squares["bias"] = deltas.square().sum(0)
        return squares

    @staticmethod
    def norms(layer, inputs, deltas) -> torch.Tensor:
        bias = 0 if layer.bias is None else 1
        return deltas.square().sum(1) * (inputs.square().sum(1) + bias)


class _Convolution:
    @staticmethod
    def square_sums(layer, inputs, deltas) -> dict[str, torch.Tensor]:
        weight = torch.zeros(layer.out_channels, layer.weight[0].numel(), device=inputs.device)
        for unfolded, delta in _unfolded(layer, inputs, deltas):
            weight += torch.bmm(delta, unfolded.transpose(1, 2)).square_().sum(0)
        squares = {"weight": weight.view_as(layer.weight)}
        if layer.bias is not None:
            squares["bias"] = deltas.sum((2, 3)).square().sum(0)
        return squares

    @staticmethod
    def norms(layer, inputs, deltas) -> torch.Tensor:
        positions = deltas[0, 0].numel()
        gram = 2 * positions**2 < layer.weight.numel()
        norms = []
        for unfolded, delta in _unfolded(layer, inputs, deltas):
            if gram:
                left = torch.bmm(unfolded.transpose(1, 2), unfolded)
                norms.append((left * torch.bmm(delta.transpose(1, 2), delta)).sum((1, 2)))
            else:
                norms.append(torch.bmm(delta, unfolded.transpose(1, 2)).square_().sum((1, 2)))
        total = torch.cat(norms)
        return total if layer.bias is None else total + deltas.sum((2, 3)).square().sum(1)


def _unfolded(layer, inputs, deltas) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield U (n, P, T) and δ (n, O, T) for chunks of samples that fit the buffer."""
    positions = deltas[0, 0].numel()
    patch = layer.weight[0].numel()
    floats = patch * positions + max(layer.weight.numel(), positions**2 * 2)
    chunk = max(1, BUFFER // floats)
    for part, delta in zip(inputs.split(chunk), deltas.split(chunk), strict=True):
        unfolded = functional.unfold(
            part, layer.kernel_size, layer.dilation, layer.padding, layer.stride
        )
        yield unfolded, delta.flatten(2)


def _layer(layer: nn.Module) -> type[_Linear] | type[_Convolution]:
    if isinstance(layer, nn.Linear):
        return _Linear
    if isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.padding_mode == "zeros":
        return _Convolution
    raise NotImplementedError(
        f"no exact per-sample gradient formula for {layer}; add one to remibench/per_sample.py"
    )
