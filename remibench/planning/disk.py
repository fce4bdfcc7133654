"""The bytes of a finished results tree, computed from the shapes of models and images."""

from __future__ import annotations

from collections import Counter

from remibench.config.model import ORIGINAL, Config
from remibench.data import dataset_info
from remibench.data.splits import EVALUATED_ON
from remibench.models import count_parameters
from remibench.planning.work import attack_size, count_images, model_spec, role_sizes

_BLOCK = 4096  # bytes that a small file takes on disk


def disk_space(cfg: Config, jobs: int) -> dict[str, int]:
    """Bytes of the finished results tree, by kind of artifact.

    Headers and batch-norm statistics of checkpoints (< 1 %) are left out.

    Args:
        cfg: The configuration.
        jobs: Number of all its jobs; each leaves a log, a CSV, a benchmark and metadata.
    """
    sizes: Counter[str] = Counter()
    for dataset in cfg.datasets:
        images, channels = count_images(dataset, cfg.data.limit), len(dataset_info(dataset).mean)
        sizes["prepared images"] += images * channels * cfg.data.image_size**2
        roles = role_sizes(images, cfg.data.out_of_sample_fraction)
        train = roles["target_train"]
        scored = sum(roles[role] for role in (*EVALUATED_ON, "out_of_sample"))
        for architecture in cfg.architectures:
            spec = model_spec(dataset, architecture, cfg.data.image_size)
            model, cells = 4 * count_parameters(spec), len(cfg.seeds)
            candidates = sum(len(cfg.variants_of(method)) for method in cfg.variants)
            methods = len({*cfg.methods, *cfg.controls} - {ORIGINAL}) + candidates
            unlearned = methods * len(cfg.forget_ratios)
            sizes["target and shadow models"] += cells * 2 * model
            sizes["attacks"] += cells * 2 * sum(4 * attack_size(a, spec) for a in cfg.attacks)
            sizes["unlearned models"] += cells * unlearned * model
            # The margin and P(member) of every attack by three adversaries take 4 bytes each, the
            # class 2, the subset 1.
            outputs = 4 * (1 + 3 * len(cfg.attacks)) + 2 + 1
            sizes["scores of images"] += cells * (1 + unlearned) * scored * outputs
            sizes["small files (about)"] += round(
                cells * train * (4 + 8 * sum(cfg.forget_ratios))  # scores and forget sets
            )
    sizes["small files (about)"] += jobs * 4 * _BLOCK
    return dict(sizes)
