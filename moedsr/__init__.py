"""MoE-DSR: a mixture of implicit neural networks that predicts how a protein's molecular surface moves."""

__version__ = "0.1.0"
