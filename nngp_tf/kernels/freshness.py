"""Whether a model's weights are a fresh draw, or were trained or loaded."""

from __future__ import annotations

import math

import keras
import numpy as np
from scipy import stats

from nngp_tf.kernels import initialisers
from nngp_tf.kernels.initialisers import Source

# Values that are compared with a draw: at least and at most so many of a variable, and draws of so
# many in all, for a trained network shows it in its small variables.
_FEWEST = 32
_MOST_OF_ONE = 4096
_MOST = 2**21


def first_trained(variables: list[tuple[keras.Variable, Source]]) -> keras.Variable | None:
    """Find a variable that is no fresh draw, among all that are constant and the smaller random.

    Args:
      variables: With the source of each; an initialiser without a seed is a constant one.
    """
    drawn = 0
    for variable, source in sorted(variables, key=lambda pair: math.prod(pair[0].shape)):
        if _is_random(source):
            drawn += math.prod(variable.shape)
            # The first of all, if that is all there is.
            if drawn > _MOST and drawn > math.prod(variable.shape):
                continue
        if not is_fresh(variable, source):
            return variable
    return None


def is_fresh(variable: keras.Variable, source: Source) -> bool:
    """Whether a variable's values may come from its initialiser.

    A constant initialiser leaves no doubt. A random one is called again. As its seed is fixed, it
    repeats the values that the variable started from, so what is near them without being equal has
    moved. What is far from them is a draw of another seed, unless it goes beyond the distribution's
    bounds or has another distribution: for that one fresh draw in 10^12 would be taken.
    """
    initialiser = source.initialiser
    if _is_random(source) and (
        not isinstance(initialiser.seed, int) or math.prod(variable.shape) < _FEWEST
    ):
        return True
    value = keras.ops.convert_to_numpy(variable)
    start = keras.ops.convert_to_numpy(initialiser(value.shape, dtype=variable.dtype))
    if not _is_random(source):
        return np.array_equal(value, start)
    low, high = _bounds(initialiser, value.shape, variable.dtype)
    # No NaN lies between them.
    if np.ptp(value) == 0 or not (low <= value.min() and value.max() <= high):
        return False
    step = -(-value.size // _MOST_OF_ONE)
    value, start = (np.ravel(x)[::step].astype(np.float64) for x in (value, start))
    if np.abs(value - start).max() <= 1e-5 * np.std(start):
        return True
    if np.corrcoef(value, start)[0, 1] > 0.9:
        return False
    return stats.ks_2samp(value, start, method="asymp").pvalue > 1e-12


def _bounds(initialiser, shape, dtype):
    """Return what all draws lie between, up to rounding."""
    middle, half = 0.0, math.inf
    fan = initialisers.fan(initialiser, shape)
    if type(initialiser) is keras.initializers.RandomUniform:
        middle = (initialiser.maxval + initialiser.minval) / 2
        half = (initialiser.maxval - initialiser.minval) / 2
    elif type(initialiser) is keras.initializers.TruncatedNormal:
        middle, half = initialiser.mean, 2 * initialiser.stddev
    elif fan is not None and initialiser.distribution == "uniform":
        half = math.sqrt(3 * initialiser.scale / max(1.0, fan))
    elif fan is not None and initialiser.distribution == "truncated_normal":
        half = 2 * initialisers.truncated_stddev(initialiser.scale, fan)
    half += {"bfloat16": 2**-7, "float16": 2**-10}.get(dtype, 1e-6) * (half + abs(middle))
    return middle - half, middle + half


def _is_random(source):
    return hasattr(source.initialiser, "seed")
