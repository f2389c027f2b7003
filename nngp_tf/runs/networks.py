"""From architectures of a space to the networks that are evaluated."""

from __future__ import annotations

from collections.abc import Iterable

from nngp_tf.models import MnasNetwork, Nasbench101Network
from nngp_tf.runs.architectures import Architecture
from nngp_tf.search_spaces import nasbench101

Network = Nasbench101Network | MnasNetwork


def build_networks(
    architectures: Iterable[Architecture],
    input_shape: tuple[int, int, int],
    num_classes: int,
    stem_filters: int = 128,
    num_stacks: int = 3,
    modules_per_stack: int = 3,
) -> list[Network]:
    """Make the network of each architecture, as a value.

    Args:
      architectures: Cells of NAS-Bench-101, or networks of MNAS.
      input_shape: Height, width and channels of the images.
      num_classes: Width of the classifier.
      stem_filters: Width of the networks of NAS-Bench-101; those of MNAS have sizes of their own.
      num_stacks: Stacks of cells of those of NAS-Bench-101.
      modules_per_stack: Cells in a stack.

    Raises:
      ValueError: As the builders of the models.
    """
    return [
        Nasbench101Network(
            architecture, input_shape, num_classes, stem_filters, num_stacks, modules_per_stack
        )
        if isinstance(architecture, nasbench101.Cell)
        else MnasNetwork(architecture, input_shape, num_classes)
        for architecture in architectures
    ]
