"""Command-line programs, one per task."""

import re
import sys

from nngp_tf.devices import compile_cache, tpu_runtime


def _prepare():
    """Prepare what TensorFlow reads at its import, and check what Keras will find."""
    arguments = sys.orig_argv
    # While `-m launchers.sweep` imports this package, it is not yet the first of sys.argv.
    named = arguments[arguments.index("-m") + 1] if "-m" in arguments else sys.argv[0]
    program = re.split(r"[./]", named.removesuffix(".py"))[-1]
    try:
        strategy, tpu, cache = tpu_runtime.asked(sys.argv[1:], "strategy", "tpu", "compile_cache")
        tpu = tpu_runtime.address(strategy, tpu)
        if not tpu_runtime.is_driver(tpu):
            print(f"left {tpu} to the first host of the slice")
            sys.exit()
        # The workers of a sweep take the chips, not the process that starts them.
        tpu_runtime.prepare(None if program.endswith("sweep") else tpu)
        compile_cache.prepare(cache)
        # Here, as all launchers load TensorFlow when they are imported.
        import nngp_tf.frameworks  # noqa: F401
    except (ValueError, ImportError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        sys.exit(2)


_prepare()
