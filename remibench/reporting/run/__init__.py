"""Inputs of a run, and the results of every part of it."""
