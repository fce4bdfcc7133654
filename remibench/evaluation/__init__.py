"""Measurement of unlearned models: predictions, metrics, and comparisons across seeds."""
