"""Projection of what a configuration takes before it runs."""
