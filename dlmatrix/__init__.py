"""A reproducible matrix of TensorFlow and PyTorch environments."""

__version__ = "0.1.0"
