"""Command-line programs, one per task."""

import sys

try:
    # Here, as all launchers load TensorFlow when they are imported.
    import nngp_tf.frameworks  # noqa: F401
except ImportError as error:
    print(f"nngp_tf: {error}", file=sys.stderr)
    sys.exit(2)
