"""Squared per-sample gradients, exactly, from one forward and one backward pass.

With L = Σ_n log p(y_n | x_n), the gradient δ of L with respect to a layer's output holds every
sample's own error signal, because samples do not interact in evaluation mode. Together with the
layer's input a it gives each sample's weight gradient g_n, hence:

- linear layer: g_n = δ_n a_nᵀ, so Σ_n g_n² = (δ²)ᵀ a² and ‖g_n‖² = ‖δ_n‖² ‖a_n‖²;
- convolution: g_n = δ_n U_nᵀ with U = unfold(a), one small matrix product per sample, then squared
  and summed; with few output positions t Σ_tt' (δ_t δ_t')ᵀ (U_t U_t') over all samples at once; for
  norms the Gram form Σ_tt' (U_nᵀU_n)(δ_nᵀδ_n) where it is cheaper;
- depthwise convolution: g_n is no larger than a_n, so it is made; samples become further channels;
- batch-norm: g_n = Σ_t δ_nt â_nt with the normalised input â; every bias: g_n = Σ_t δ_nt.

No path holds N × |w| gradients: batches, and on a CPU a convolution's output channels too, are cut
so that the products are squared and summed while they are in the cache.
What has no exact formula here is refused, never approximated; that includes weights that are used
twice, and anything that makes samples interact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional

from remibench.models.fast_convolutions import Convolution

FEW = 4  # output positions up to which all pairs of them are cheaper than every sample's gradient
# Output positions from which, on a CPU, oneDNN's weight gradient of one image is faster than
# unfolding it.
DIRECT = 256


def second_moments(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch_size: int = 64
) -> dict[str, torch.Tensor]:
    """Σ_n (∂ log p(y_n | x_n) / ∂w)² for every parameter: the diagonal of the empirical Fisher.

    Args:
        model: A classifier in evaluation mode, of linear layers, dense and depthwise convolutions,
            batch-norm and whatever has no parameters, connected in any way.
        images: (N, C, S, S) uint8.
        labels: (N,) int64.
        batch_size: Images per backward pass; the result does not depend on it but by rounding.

    Returns:
        Parameter name → tensor of the parameter's shape, float32.

    Raises:
        NotImplementedError: A layer has no exact formula here, its weights are used more than once
            or elsewhere, its input is overwritten or not one row per sample, or the model is in
            training mode; the message names the layer.
    """
    sums = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    for signals in _signals(model, images, labels, batch_size):
        for signal in signals:
            for parameter, value in signal.formula.square_sums(*signal.tensors).items():
                sums[f"{signal.name}.{parameter}"] += value
    return sums


def squared_norms(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch_size: int = 64
) -> torch.Tensor:
    """‖∂ log p(y_n | x_n) / ∂w‖² over all parameters, for every sample: (N,) float32.

    Arguments and errors as in :func:`second_moments`.
    """
    return torch.cat(
        [
            sum(signal.formula.norms(*signal.tensors) for signal in signals)
            for signals in _signals(model, images, labels, batch_size)
        ]
    )


class _Signal(NamedTuple):
    name: str
    formula: type[_Linear | _Convolution | _Explicit]
    tensors: tuple[nn.Module, torch.Tensor, torch.Tensor]  # layer, its input a, its output's δ


class _Capture(NamedTuple):
    """A layer's call. The edge stays that of its own output when a later layer overwrites it."""

    layer: nn.Module
    inputs: torch.Tensor
    version: int
    edge: GradientEdge


def _signals(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch_size: int
) -> Iterator[list[_Signal]]:
    """Yield the signals of all layers with parameters, per batch."""
    names = {
        module: name
        for name, module in model.named_modules()
        if list(module.parameters(recurse=False))
    }
    formulas = {layer: _formula(name, layer) for layer, name in names.items()}
    for name, module in model.named_modules():
        batch_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        if module.training or (batch_norm and module.running_mean is None):
            raise NotImplementedError(
                f"{name or 'the model'} is in training mode or normalises by the batch; "
                "then no sample has a gradient of its own"
            )
    trainable = [parameter.requires_grad for parameter in model.parameters()]
    captured: list[_Capture] = []

    def capture(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        edge = get_gradient_edge(output)
        captured.append(_Capture(layer, inputs[0].detach(), inputs[0]._version, edge))

    handles = [layer.register_forward_hook(capture) for layer in names]
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
                _check(log_likelihood, names, captured, len(image_batch))
                deltas = torch.autograd.grad(log_likelihood, [call.edge for call in captured])
            yield [
                _Signal(names[call.layer], formulas[call.layer], (call.layer, call.inputs, delta))
                for call, delta in zip(captured, deltas, strict=True)
            ]
    finally:
        for handle in handles:
            handle.remove()
        for parameter, flag in zip(model.parameters(), trainable, strict=True):
            parameter.requires_grad_(flag)


def _check(
    loss: torch.Tensor, names: dict[nn.Module, str], captured: list[_Capture], samples: int
) -> None:
    """Raise if the captured calls are not all that the loss owes to the parameters."""
    uses = _uses(loss)
    calls = Counter(call.layer for call in captured)
    for layer, name in names.items():
        for parameter in layer.parameters(recurse=False):
            if uses[parameter] > 1 or uses[parameter] != calls[layer]:
                raise NotImplementedError(
                    f"{name} is called {calls[layer]} times and its parameters are used "
                    f"{uses[parameter]} times; a per-sample gradient is exact for one use"
                )
    for call in captured:
        shape = tuple(call.inputs.shape)
        if call.inputs._version != call.version:
            raise NotImplementedError(f"the input of {names[call.layer]} is overwritten after use")
        if shape[0] != samples or (isinstance(call.layer, nn.Linear) and len(shape) != 2):
            raise NotImplementedError(
                f"the input of {names[call.layer]} has shape {shape}, not one row per sample"
            )


def _uses(loss: torch.Tensor) -> Counter[torch.Tensor]:
    """Count how often each parameter enters the loss, by its autograd graph."""
    uses: Counter[torch.Tensor] = Counter()
    seen, stack = set(), [loss.grad_fn]
    while stack:
        for node, _ in stack.pop().next_functions:
            if hasattr(node, "variable"):
                uses[node.variable] += 1
            elif node is not None and node not in seen:
                seen.add(node)
                stack.append(node)
    return uses


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
        weight = torch.zeros_like(layer.weight, memory_format=torch.contiguous_format)
        sums, positions = weight.flatten(1), deltas[0, 0].numel()
        if positions <= FEW:
            delta, unfolded = (
                factor.permute(2, 0, 1).contiguous()
                for factor in (deltas.flatten(2), _unfold(layer, inputs))
            )
            for shift in range(positions):
                left, right = (
                    (factor[shift:] * factor[: positions - shift]).flatten(0, 1)
                    for factor in (delta, unfolded)
                )
                sums.addmm_(left.T, right, alpha=2 if shift else 1)
            sums.clamp_(min=0)  # rounding can take a sum of squares below zero
        else:
            for _, rows, gradients in _convolution_gradients(layer, inputs, deltas):
                for gradient in gradients:
                    sums[rows].addcmul_(gradient, gradient)
        squares = {"weight": weight}
        if layer.bias is not None:
            squares["bias"] = deltas.sum((2, 3)).square().sum(0)
        return squares

    @staticmethod
    def norms(layer, inputs, deltas) -> torch.Tensor:
        positions = deltas[0, 0].numel()
        if positions == 1:
            return _Linear.norms(layer, _unfold(layer, inputs).flatten(1), deltas.flatten(1))
        norms = inputs.new_zeros(len(inputs))
        if 2 * positions**2 < layer.weight.numel():
            floats = layer.weight[0].numel() * positions + 2 * positions**2
            for samples in _slices(len(inputs), _held(inputs).unfolded // floats):
                unfolded, delta = _unfold(layer, inputs[samples]), deltas[samples].flatten(2)
                left = torch.bmm(unfolded.transpose(1, 2), unfolded)
                norms[samples] = (left * torch.bmm(delta.transpose(1, 2), delta)).sum((1, 2))
        else:
            for samples, _, gradients in _convolution_gradients(layer, inputs, deltas):
                norms[samples] += gradients.square().sum((1, 2))
        return norms if layer.bias is None else norms + deltas.sum((2, 3)).square().sum(1)


class _Held(NamedTuple):
    """Floats held at once: of inputs unfolded, and of their products, read while in the cache."""

    unfolded: int
    products: int


def _held(tensor: torch.Tensor) -> _Held:
    return _Held(2**20, 2**18) if tensor.device.type == "cpu" else _Held(2**25, 2**25)


def _convolution_gradients(layer, inputs, deltas) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Yield (samples, rows, gradients of these samples in these rows of the O×P weight)."""
    channels, patch = layer.out_channels, layer.weight[0].numel()
    positions = deltas[0, 0].numel()
    held = _held(inputs)
    if inputs.device.type == "cpu" and patch > layer.in_channels and positions >= DIRECT:
        for samples in _slices(len(inputs), 1):
            gradient = torch.nn.grad.conv2d_weight(
                inputs[samples],
                layer.weight.shape,
                deltas[samples],
                layer.stride,
                layer.padding,
                layer.dilation,
            )
            yield samples, slice(None), gradient.flatten(1)[None]
        return
    together = held.products // layer.weight.numel()
    for chunk in _slices(len(inputs), held.unfolded // (patch * positions)):
        unfolded = _unfold(layer, inputs[chunk]).transpose(1, 2)
        delta = deltas[chunk].flatten(2)
        for rows in _slices(channels, held.products // patch):
            for part in _slices(len(delta), together):
                samples = slice(chunk.start + part.start, chunk.start + part.stop)
                yield samples, rows, torch.bmm(delta[part, rows], unfolded[part])


def _slices(count: int, size: int) -> Iterator[slice]:
    """Cut ``range(count)`` into equal pieces of at most ``size``, or of one if that is less."""
    pieces = -(-count // max(1, size))
    size = -(-count // pieces)
    for start in range(0, count, size):
        yield slice(start, min(count, start + size))


def _unfold(layer, inputs) -> torch.Tensor:
    """U (n, P, T): the P inputs of a convolution's kernel at each of its T output positions."""
    if layer.kernel_size == (1, 1) and layer.padding == (0, 0):
        rows, columns = layer.stride
        return inputs[:, :, ::rows, ::columns].flatten(2)
    return functional.unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride)


class _Explicit:
    """Sums over the per-sample gradients themselves, for layers where these are small."""

    @classmethod
    def square_sums(cls, layer, inputs, deltas) -> dict[str, torch.Tensor]:
        gradients = cls.gradients(layer, inputs, deltas)
        return {name: gradient.square().sum(0) for name, gradient in gradients.items()}

    @classmethod
    def norms(cls, layer, inputs, deltas) -> torch.Tensor:
        gradients = cls.gradients(layer, inputs, deltas).values()
        return sum(gradient.flatten(1).square().sum(1) for gradient in gradients)


class _Depthwise(_Explicit):
    @staticmethod
    def gradients(layer, inputs, deltas) -> dict[str, torch.Tensor]:
        """Gradients of one image with N·C channels, each of which meets one copy of the kernel."""
        samples, channels = inputs.shape[:2]
        weight = torch.nn.grad.conv2d_weight(
            inputs.reshape(1, samples * channels, *inputs.shape[2:]),
            (samples * layer.out_channels, *layer.weight.shape[1:]),
            deltas.reshape(1, samples * layer.out_channels, *deltas.shape[2:]),
            layer.stride,
            layer.padding,
            layer.dilation,
            groups=samples * channels,
        )
        gradients = {"weight": weight.view(samples, *layer.weight.shape)}
        if layer.bias is not None:
            gradients["bias"] = deltas.sum((2, 3))
        return gradients


class _BatchNorm(_Explicit):
    @staticmethod
    def gradients(layer, inputs, deltas) -> dict[str, torch.Tensor]:
        mean, variance = (
            statistic[:, None, None] for statistic in (layer.running_mean, layer.running_var)
        )
        products = (inputs - mean).mul_(deltas)
        scale = (variance + layer.eps).rsqrt()[:, 0, 0]
        return {"weight": products.sum((2, 3)) * scale, "bias": deltas.sum((2, 3))}


def _formula(name: str, layer: nn.Module) -> type[_Linear | _Convolution | _Explicit]:
    kind = type(layer)  # a subclass may compute something else
    if kind is nn.Linear:
        return _Linear
    if kind is nn.BatchNorm2d:
        return _BatchNorm
    if (
        kind in (nn.Conv2d, Convolution)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    ):
        if layer.groups == 1:
            return _Convolution
        if layer.groups == layer.in_channels:
            return _Depthwise
    raise NotImplementedError(
        f"no exact per-sample gradient formula for {name}, {layer}; add one to "
        "remibench/per_sample.py"
    )
