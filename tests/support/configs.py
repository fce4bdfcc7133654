"""The default configuration, and presets laid over it as Snakemake does."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def default():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def merge(base, overlay):
    """Lay a preset over the default, as Snakemake's --configfile does."""
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        base[key] = merge(base[key], value) if both else value
    return base
