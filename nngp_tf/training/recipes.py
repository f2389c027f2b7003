"""Recipes of gradient training: the numbers of NAS-Bench-101 and of MnasNet.

Definitions: nasbench/lib/config.py and nasbench/lib/model_builder.py of the benchmark, and the
MnasNet files of the TensorFlow TPU models.
"""

from __future__ import annotations

import dataclasses
import math
import numbers

AUGMENTATIONS = ("crop_and_flip", "resized_crop_and_flip", "none")
REFERENCE_BATCH_SIZE = 256


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained, whatever the network and the length of the run.

    Attributes:
      name: Of the recipe.
      batch_size: Images in a step, over all replicas.
      learning_rate: The peak, for batches of 256 images; other batches scale it in proportion.
      schedule: "cosine": from the peak at the first step to 0 at the end of the run. "staircase":
        multiplied by `decay_rate` every `decay_epochs` epochs.
      warmup_epochs: Epochs over which the rate rises from 0, in a line; at most a fifth of the run.
      decay_rate: Of the staircase.
      decay_epochs: Of the staircase.
      momentum: Of RMSProp, as are the next three.
      rho: Decay of the mean square.
      epsilon: Added to the mean square under the root.
      initial_mean_square: What the mean square starts from: 1 in TensorFlow 1, which both recipes
        were made with, and 0 in Keras, where the first steps are longer.
      weight_decay: Factor of half the sum of squared trainable variables in the loss.
      decays_batch_norm: Whether scales and offsets of batch normalisation are part of that sum.
      label_smoothing: Share of the target that is spread over all classes.
      ema_momentum: Of the average of the weights that is evaluated; None evaluates the weights. It
        averages over at most a tenth of the run, lest a short run be judged by its first weights.
      augmentation: One of `AUGMENTATIONS`.
      batch_norm_momentum: Of the moving statistics; None leaves the network's own.
    """

    name: str
    batch_size: int
    learning_rate: float
    schedule: str
    epsilon: float
    weight_decay: float
    decays_batch_norm: bool
    augmentation: str
    warmup_epochs: float = 0.0
    decay_rate: float = 1.0
    decay_epochs: float = 1.0
    momentum: float = 0.9
    rho: float = 0.9
    initial_mean_square: float = 1.0
    label_smoothing: float = 0.0
    ema_momentum: float | None = None
    batch_norm_momentum: float | None = None

    def __post_init__(self):
        if self.augmentation not in AUGMENTATIONS:
            raise ValueError(
                f"augmentation must be one of {', '.join(AUGMENTATIONS)}, got {self.augmentation!r}"
            )
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size!r}")
        rate = self.learning_rate
        if not isinstance(rate, numbers.Real) or not 0 < rate < math.inf:
            raise ValueError(f"learning_rate must be a finite number above 0, got {rate!r}")
        momentum = self.batch_norm_momentum
        if momentum is not None and (
            not isinstance(momentum, numbers.Real) or not 0 <= momentum < 1
        ):
            raise ValueError(
                f"batch_norm_momentum must be at least 0 and below 1, or None, got {momentum!r}"
            )

    @property
    def peak_learning_rate(self) -> float:
        """The highest learning rate, for the recipe's batch size."""
        return self.learning_rate * self.batch_size / REFERENCE_BATCH_SIZE


# The benchmark trained on two TPU cores with 128 images and 0.1 each. It set the rate of the very
# first step to 0, which is left out here.
NASBENCH101 = Recipe(
    name="nasbench101",
    batch_size=256,
    learning_rate=0.2,
    schedule="cosine",
    epsilon=1.0,
    weight_decay=1e-4,
    decays_batch_norm=True,
    augmentation="crop_and_flip",
)

MNASNET = Recipe(
    name="mnasnet",
    batch_size=1024,
    learning_rate=0.016,
    schedule="staircase",
    epsilon=1e-3,
    weight_decay=1e-5,
    decays_batch_norm=False,
    augmentation="resized_crop_and_flip",
    warmup_epochs=5.0,
    decay_rate=0.97,
    decay_epochs=2.4,
    label_smoothing=0.1,
    ema_momentum=0.9999,
)

RECIPES = {recipe.name: recipe for recipe in (NASBENCH101, MNASNET)}


def get(name: str, **changes: object) -> Recipe:
    """Return a recipe by name, with other values for some attributes.

    Args:
      name: "nasbench101" or "mnasnet".
      **changes: Attributes of `Recipe`; None keeps the recipe's own.

    Returns:
      The recipe.

    Raises:
      ValueError: For an unknown name, or a value out of range.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {name!r}")
    given = {attribute: value for attribute, value in changes.items() if value is not None}
    return dataclasses.replace(RECIPES[name], **given)
