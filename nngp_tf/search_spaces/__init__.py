"""Architectures as frozen values; nothing here imports TensorFlow."""
