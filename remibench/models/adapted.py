"""Classifiers of users as the library's methods, attacks and metrics use a classifier."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from remibench.errors import RemibenchError
from remibench.models import Classifier

Transform = Callable[[torch.Tensor], torch.Tensor]


class AdaptedClassifier(nn.Module):
    """Any module that ends in a linear layer, with the two names of :class:`Classifier`.

    ``head`` is the module's last linear layer, and :meth:`features` is what a hook sees of that
    layer's input. The module is neither copied nor changed.

    Args:
        module: The user's classifier; a batch of images → logits (N, classes), or something with
            an attribute ``logits``.
        images: Some images, on the module's device, with which the last layer is found.
        transform: What a batch goes through before the module. None: uint8 images are divided by
            255, as torchvision's ``ToTensor`` does, and others are taken as they are; a
            :class:`Classifier` takes uint8 images itself.

    Raises:
        RemibenchError: The module's output is not that of a linear layer, or its weights are not
            single precision.
    """

    capture = False  # as a CUDA graph: nothing is known of what the module does in Python

    def __init__(
        self, module: nn.Module, images: torch.Tensor, transform: Transform | None = None
    ) -> None:
        super().__init__()
        self.module = module
        self._transform = transform or (_as_it_is if isinstance(module, Classifier) else _to_float)
        for name, parameter in module.named_parameters():
            if parameter.dtype != torch.float32:
                raise RemibenchError(
                    f"the parameter {name} of {type(module).__name__} is {parameter.dtype}; "
                    "convert the model by model.float()"
                )
        self._head = _last_linear(self, images)

    @property
    def head(self) -> nn.Linear:
        """The last linear layer."""
        return self.module.get_submodule(self._head)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Input (N, H) of the last linear layer, differentiable in the weights before it."""
        seen: list[torch.Tensor] = []
        handle = self.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            self(images)
        finally:
            handle.remove()
        return seen[-1]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes)."""
        output = self.module(self._transform(images))
        return getattr(output, "logits", output)


def fresh_copy(
    module: nn.Module, seed: int, factory: Callable[[], nn.Module] | None = None
) -> nn.Module:
    """A model like ``module``, freshly initialised, on its device; its randomness is ``seed``'s.

    Args:
        module: The user's classifier.
        seed: The seed of all random numbers of the initialisation.
        factory: Builds the model. None: a deep copy, of which every layer is initialised by its
            own ``reset_parameters``. That is the default initialisation of each kind of layer, and
            not what the constructor of the model may have done after it.

    Raises:
        RemibenchError: A layer cannot be initialised, or the factory builds another model.
    """
    device = next(module.parameters()).device
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        fresh = copy.deepcopy(module).cpu() if factory is None else factory()
        if factory is None:
            for name, layer in reversed(list(fresh.named_modules())):  # children first
                reset = getattr(layer, "reset_parameters", None)
                reset = reset or getattr(layer, "_reset_parameters", None)  # attention's
                if reset is not None:
                    reset()
                elif list(layer.parameters(recurse=False)):
                    raise RemibenchError(
                        f"{name or type(layer).__name__} ({type(layer).__name__}) has parameters "
                        "and no `reset_parameters`; give `factory`, a function that builds the "
                        "model afresh"
                    )
    shapes = [
        {name: value.shape for name, value in each.state_dict().items()} for each in (module, fresh)
    ]
    if shapes[0] != shapes[1]:
        names = sorted(dict(shapes[0].items() ^ shapes[1].items()))
        raise RemibenchError(
            f"`factory` builds another model than the one that was given: {names[0]} differs"
        )
    return fresh.to(device)


def _as_it_is(images: torch.Tensor) -> torch.Tensor:
    return images


def _to_float(images: torch.Tensor) -> torch.Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images


@torch.no_grad()
def _last_linear(adapted: AdaptedClassifier, images: torch.Tensor) -> str:
    """Name of the linear layer in the module whose output is the module's."""
    module = adapted.module
    calls: list[tuple[str, torch.Tensor, torch.Tensor]] = []
    handles = [
        layer.register_forward_hook(
            lambda _, inputs, output, name=name: calls.append((name, inputs[0], output))
        )
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    modes = {each: each.training for each in module.modules()}
    try:
        logits = adapted.eval()(images)
    finally:
        for handle in handles:
            handle.remove()
        for each, training in modes.items():
            each.training = training
    kind = type(module).__name__
    if not isinstance(logits, torch.Tensor) or logits.dim() != 2 or len(logits) != len(images):
        found = f"shape {tuple(logits.shape)}" if isinstance(logits, torch.Tensor) else logits
        raise RemibenchError(
            f"{kind} returned {found!s:.60} for {len(images)} images; a classifier returns logits "
            "(images, classes)"
        )
    for name, inputs, output in reversed(calls):
        if inputs.dim() == 2 and output.shape == logits.shape and torch.equal(output, logits):
            return name
    raise RemibenchError(
        f"the output of {kind} is not that of a linear layer; the attacks need logits as the "
        "last nn.Linear gives them, without softmax or any other function behind it"
    )
