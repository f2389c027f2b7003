"""How initialisations and images are divided among replicas.

Replicas form a grid of initialisation groups x image groups; each round gives every initialisation
group one initialisation, whose images its image groups share. Initialisations come first: another
image group repeats the drawing and the calibration of its initialisation.
"""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Division:
    """A grid of replicas, and the padded layout of the images.

    Attributes:
      init_groups: Initialisations at a time.
      image_groups: Replicas that share the images of one initialisation.
      rounds: Times that the grid is used; in the last, surplus initialisations are masked.
      batches: Batches that each replica runs a round.
      batch_size: Images in a batch.
    """

    init_groups: int
    image_groups: int
    rounds: int
    batches: int
    batch_size: int

    @property
    def padded_images(self) -> int:
        """Images after padding to whole batches in every group."""
        return self.image_groups * self.batches * self.batch_size


def divide(
    num_inits: int, num_images: int, num_replicas: int, batch_size: int, calibration_size: int = 0
) -> Division:
    """Chooses the grid that ends first, with more initialisation groups where it makes no odds.

    Args:
      num_inits: Initialisations to do.
      num_images: Images that each runs.
      num_replicas: Replicas in all.
      batch_size: The most images in a batch.
      calibration_size: Images that every replica runs besides, for each initialisation.

    Returns:
      The division.
    """
    options = [
        _division(num_inits, num_images, num_replicas // groups, groups, batch_size)
        for groups in range(1, num_replicas + 1)
        if num_replicas % groups == 0
    ]
    return min(
        options,
        key=lambda d: (d.rounds * (d.batches * d.batch_size + calibration_size), d.image_groups),
    )


def _division(num_inits, num_images, init_groups, image_groups, batch_size):
    share = math.ceil(num_images / image_groups)
    batches = math.ceil(share / batch_size)
    return Division(
        init_groups=init_groups,
        image_groups=image_groups,
        rounds=math.ceil(num_inits / init_groups),
        batches=batches,
        # Even batches pad the least.
        batch_size=math.ceil(share / batches),
    )
