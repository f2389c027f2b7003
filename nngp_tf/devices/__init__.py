"""Devices: which a machine has, and what TensorFlow must know of them before it is imported.

Nothing here imports TensorFlow.
"""
