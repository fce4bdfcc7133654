"""Classifiers, one architecture per module: ``build_backbone(channels, image_size)``.

An architecture is found by the name of its module, which is its name in the config. It provides
everything up to the penultimate features; :class:`Classifier` adds what all share. It is also built
on the meta device, to be filled from a checkpoint or only to be counted: its tensors are parameters
and persistent buffers, and no value of them decides its shape. The smallest side of an image that
it computes on is its ``MIN_IMAGE_SIZE``, 1 where a module has none. A backbone that draws
random numbers on the CPU or reads a tensor's value while it trains says ``CAPTURE = False``: its
training steps are not recorded as CUDA graphs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from remibench.artifacts.io import fill_module, load_tensors, save_tensors
from remibench.components.guards import guarded, is_plugin
from remibench.components.plugins import broken, call
from remibench.errors import RemibenchError
from remibench.models.fast_convolutions import use_fast_convolutions


@dataclass(frozen=True)
class ModelSpec:
    """Values that fix a classifier's shape and input step; stored in every checkpoint's header."""

    architecture: str
    channels: int
    image_size: int
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, architecture: str, metadata: dict) -> ModelSpec:
        """The spec of an architecture on a prepared dataset's metadata."""
        return cls(
            architecture=architecture,
            channels=len(metadata["mean"]),
            image_size=metadata["image_size"],
            classes=len(metadata["class_names"]),
            mean=tuple(metadata["mean"]),
            std=tuple(metadata["std"]),
        )


class Classifier(nn.Module):
    """Input normalisation, an architecture's backbone, and one last linear layer.

    Every architecture exposes its penultimate features (:meth:`features`) and its last layer
    (``head``), which is all that the attacks need: the gradient of the cross-entropy with respect
    to ``head.weight`` is the outer product of softmax error and features.
    """

    def __init__(self, backbone: nn.Module, width: int, spec: ModelSpec) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(width, spec.classes)
        # No checkpoint holds these two: they have values even where the rest is built without.
        scale = torch.tensor(spec.std, device="cpu").view(1, -1, 1, 1) * 255
        mean = torch.tensor(spec.mean, device="cpu").view(1, -1, 1, 1) * 255
        self.register_buffer("_scale", 1 / scale, persistent=False)
        self.register_buffer("_shift", -mean / scale, persistent=False)

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Map uint8 images (N, C, S, S) to normalised float32, channels last."""
        images = images.to(memory_format=torch.channels_last)
        return torch.addcmul(self._shift, images.float(), self._scale)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Penultimate features (N, H) of uint8 images (N, C, S, S)."""
        return self.backbone(self.normalise(images))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of uint8 images (N, C, S, S)."""
        return self.head(self.features(images))


def build_model(spec: ModelSpec, seed: int = 0) -> Classifier:
    """Build a freshly initialised classifier; all its randomness comes from ``seed``.

    Raises:
        RemibenchError: The images are too small for the architecture, or two of its tensors share
            their memory.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _assemble(spec)
    _refuse_shared(model, spec)
    return model.to(memory_format=torch.channels_last)


@torch.no_grad()
def check_classifier(model: Classifier, spec: ModelSpec, images: torch.Tensor) -> None:
    """See that a trained classifier of a plug-in's architecture is what others take it for.

    Args:
        model: In evaluation mode.
        spec: Its spec.
        images: Some uint8 images (N, C, S, S).

    Raises:
        RemibenchError: An image's logits depend on the images beside it, or a model of the same
            parameters and buffers computes others; names the architecture's file.
    """
    module = f"remibench.models.{spec.architecture}"
    if not is_plugin(module):
        return
    logits = model(images)
    scale = logits.abs().max().item()
    alone = torch.cat([model(image) for image in images.split(1)])
    if not torch.allclose(alone, logits, rtol=1e-3, atol=1e-3 * scale):
        raise broken(
            module,
            "the logits of an image depend on the other images of its batch in evaluation mode; "
            "every image is to be judged by itself",
        )
    copy = _skeleton(spec)
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    copy.load_state_dict(tensors, assign=True)
    copy = copy.to(device=images.device, memory_format=torch.channels_last).eval()
    try:
        same = torch.allclose(copy(images), logits, rtol=1e-3, atol=1e-3 * scale)
    except (RuntimeError, NotImplementedError):  # a tensor without memory
        same = False
    if not same:
        raise broken(
            module,
            "a model read from its checkpoint computes other logits; keep all that it computes "
            "with in parameters and persistent buffers",
        )


def count_parameters(spec: ModelSpec) -> int:
    """Number of trainable parameters of a classifier; allocates none of them."""
    return sum(parameter.numel() for parameter in _skeleton(spec).parameters())


def forward_flops(spec: ModelSpec) -> int:
    """Floating-point operations of one image's forward pass in evaluation mode.

    Torch's count: two for every multiply-add of convolutions and matrix products, nothing else.
    """
    from torch.utils.flop_counter import FlopCounterMode  # slow to import, and only planners do

    model = _skeleton(spec).to("meta").eval()
    image = torch.empty(
        1, spec.channels, spec.image_size, spec.image_size, dtype=torch.uint8, device="meta"
    )
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    return counter.get_total_flops()


def save_model(path: str | Path, model: Classifier, spec: ModelSpec) -> None:
    """Write a classifier's checkpoint."""
    save_tensors(path, model.state_dict(), {"kind": "classifier", **_plain(spec)})


def load_model(path: str | Path, spec: ModelSpec, device: torch.device) -> Classifier:
    """Read a classifier's checkpoint in evaluation mode.

    Raises:
        RemibenchError: The file is corrupt, or holds something else than ``spec`` says.
    """
    tensors, _ = load_tensors(path, {"kind": "classifier", **_plain(spec)})
    model = _skeleton(spec)
    fill_module(model, tensors, path)
    return model.to(device=device, memory_format=torch.channels_last).eval()


def _assemble(spec: ModelSpec) -> Classifier:
    module = import_module(f"remibench.models.{spec.architecture}")
    smallest = getattr(module, "MIN_IMAGE_SIZE", 1)
    if spec.image_size < smallest:
        raise RemibenchError(
            f"architecture {spec.architecture} needs images of at least {smallest}×{smallest} "
            f"pixels, got {spec.image_size}×{spec.image_size}; raise `data.image_size`"
        )
    arguments = (spec.channels, spec.image_size)
    with guarded(module.__name__, "build_backbone", draws=("torch",)):
        backbone, width = call(module, "build_backbone", tuple, *arguments)
    use_fast_convolutions(backbone)
    model = Classifier(backbone, width, spec)
    model.capture = getattr(module, "CAPTURE", True)
    return model


def _refuse_shared(model: Classifier, spec: ModelSpec) -> None:
    """Refuse a model of which two tensors are the same memory: no checkpoint can hold that."""
    owners: dict[int, str] = {}
    for name, tensor in model.state_dict().items():
        if tensor.is_meta or not tensor.numel():
            continue
        owner = owners.setdefault(tensor.untyped_storage().data_ptr(), name)
        if owner != name:
            raise broken(
                f"remibench.models.{spec.architecture}",
                f"`build_backbone` returned a module of which {owner.removeprefix('backbone.')!r} "
                f"and {name.removeprefix('backbone.')!r} share their memory; give each its own",
            )


def _skeleton(spec: ModelSpec) -> Classifier:
    """A classifier whose weights have shapes but neither values nor memory."""
    with torch.device("meta"):
        return _assemble(spec)


def _plain(spec: ModelSpec) -> dict:
    return {**asdict(spec), "mean": list(spec.mean), "std": list(spec.std)}
