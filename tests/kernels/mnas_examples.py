"""Mobile networks that the tests of their programs share."""

from nngp_tf.models import MnasNetwork
from nngp_tf.search_spaces import mnas

# Every kind of layer, with and without what an input decides; few strides, so that batch statistics
# are of many positions.
MIXED = mnas.Network.from_blocks(
    [
        (2, "mbconv", 1, 3, 0.25, 8),
        (2, "conv", 1, 5, 0, 12),
        (2, "mbconv", 6, 3, 0, 16),
        (2, "mbconv", 3, 5, 0.25, 12, "max_pool"),
        (1, "dconv", 1, 3, 0, 10),
        (2, "mbconv", 3, 3, 0.25, 9, "average_pool"),
        (2, "mbconv", 1, 5, 0, 16, "none"),
    ],
    stem_filters=8,
    strides=(1, 2, 1, 2, 1, 1, 1),
)


def mixed(input_shape=(24, 24, 3), **options):
    """MIXED for images of this shape."""
    return MnasNetwork(MIXED, input_shape, num_classes=10, **options)
