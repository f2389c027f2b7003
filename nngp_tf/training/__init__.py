"""Short gradient training of networks: the signal that NNGP inference is compared with."""

import nngp_tf.frameworks  # noqa: F401
from nngp_tf import lazy

__getattr__, __dir__ = lazy.modules(__name__, __path__)
