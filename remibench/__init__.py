"""remibench: evaluation of machine unlearning guided by membership fingerprinting (ReMI)."""

__version__ = "0.1.0"
