"""NAS-Bench-101 networks in Keras: a cell, stacked as the benchmark stacks it.

    stem 3x3 conv-BN-ReLU -> [cell x modules] -> max pool, channels x 2 -> [cell x modules] -> ...
    -> global average pool ("features") -> dense ("logits")

Definitions: nasbench/lib/model_builder.py and nasbench/lib/base_ops.py of the benchmark.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from nngp_tf.search_spaces import nasbench101

BATCH_NORM_MOMENTUM = 0.997
BATCH_NORM_EPSILON = 1e-5


def build_nasbench101(
    cell: nasbench101.Cell,
    input_shape: Sequence[int] = (32, 32, 3),
    num_classes: int = 10,
    stem_filters: int = 128,
    num_stacks: int = 3,
    modules_per_stack: int = 3,
    dtype_policy: str | keras.DTypePolicy | None = None,
) -> keras.Model:
    """Build the network of a cell.

    The defaults give the benchmark's networks: its parameter counts are `model.count_params()`
    less the moving statistics of batch normalisation. The layer "features" holds the globally
    averaged output [N, C] with C = stem_filters * 2**(num_stacks - 1), and "logits" the output
    [N, num_classes] before any softmax. Both are float32 under a mixed policy.

    Args:
      cell: A cell of the search space.
      input_shape: Image height, width and channels.
      num_classes: Width of "logits".
      stem_filters: Channels of the stem and of the first stack; they double with every stack.
      num_stacks: Stacks, with a 2x2 max pool of stride 2 between them.
      modules_per_stack: Cells in each stack.
      dtype_policy: Keras dtype policy or its name ("mixed_bfloat16"); the global one if None.

    Returns:
      A functional model from images [N, H, W, channels] to logits [N, num_classes].

    Raises:
      ValueError: If the cell is outside the space, a size is not a positive integer, or
        `stem_filters` leaves an operation without a channel.
    """
    check_sizes(cell, input_shape, num_classes, stem_filters, num_stacks, modules_per_stack)
    policy = keras.dtype_policies.get(dtype_policy or keras.config.dtype_policy())

    input_dtype = "float64" if policy.compute_dtype == "float64" else "float32"
    images = keras.Input(tuple(input_shape), dtype=input_dtype, name="images")
    channels = stem_filters
    x = _conv_bn_relu(images, channels, 3, "stem", policy)
    for stack in range(num_stacks):
        if stack > 0:
            x = _max_pool(x, 2, 2, f"stack{stack}_downsample", policy)
            channels *= 2
        for module in range(modules_per_stack):
            x = _module(x, cell, channels, f"stack{stack}_module{module}", policy)

    head = "float32" if policy.compute_dtype in ("float16", "bfloat16") else policy
    x = keras.layers.GlobalAveragePooling2D(
        data_format="channels_last", dtype=head, name="features"
    )(x)
    dense = keras.layers.Dense(
        num_classes, kernel_initializer="glorot_uniform", dtype=head, name="logits"
    )
    return keras.Model(images, dense(x), name="nasbench101")


def check_sizes(
    cell: nasbench101.Cell,
    input_shape: Sequence[int],
    num_classes: int,
    stem_filters: int,
    num_stacks: int,
    modules_per_stack: int,
) -> None:
    """Raise ValueError for a cell outside the space or a size that is not a positive integer."""
    if cell.invalid_reason is not None:
        raise ValueError(f"cannot build a cell outside the space: {cell.invalid_reason}")
    sizes = {
        "num_classes": num_classes,
        "stem_filters": stem_filters,
        "num_stacks": num_stacks,
        "modules_per_stack": modules_per_stack,
    }
    for name, size in sizes.items():
        if size != int(size) or size < 1:
            raise ValueError(f"{name} must be a positive integer, got {size!r}")
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise ValueError(
            f"input_shape must be (height, width, channels), all positive, got {input_shape!r}"
        )


def vertex_channels(
    input_channels: int, output_channels: int, matrix: np.ndarray | Sequence[Sequence[int]]
) -> list[int]:
    """Return the channels of each vertex (`compute_vertex_channels` of the benchmark's builder).

    The output's channels are shared out among the interior vertices that feed it, the remainder
    going to the first ones; another vertex is as wide as the widest vertex that it feeds.

    Args:
      input_channels: Channels of vertex 0.
      output_channels: Channels of the last vertex.
      matrix: Adjacency matrix of a pruned cell [V, V].

    Returns:
      V channel counts.

    Raises:
      ValueError: If `output_channels` is below the number of vertices that share it.
    """
    matrix = np.asarray(matrix)
    output = len(matrix) - 1
    feeders = [v for v in range(1, output) if matrix[v, output]]
    channels = [0] * len(matrix)
    channels[0], channels[output] = input_channels, output_channels
    if not feeders:
        return channels
    if output_channels < len(feeders):
        raise ValueError(
            f"{output_channels} channels cannot be shared by the {len(feeders)} vertices that feed "
            f"the output; use at least {len(feeders)} stem filters"
        )
    share, remainder = divmod(output_channels, len(feeders))
    for position, vertex in enumerate(feeders):
        channels[vertex] = share + (position < remainder)
    for vertex in range(output - 1, 0, -1):
        if not matrix[vertex, output]:
            channels[vertex] = max(channels[d] for d in range(vertex, output) if matrix[vertex, d])
    return channels


def _module(x, cell, output_channels, name, policy):
    """One cell: vertices in order, then the concatenation of those that feed the output."""
    matrix, ops = cell.matrix, cell.ops
    output = len(ops) - 1
    channels = vertex_channels(x.shape[-1], output_channels, matrix)
    tensors = [x]
    for vertex in range(1, output):
        scope = f"{name}_vertex{vertex}"
        width = channels[vertex]
        # Widths never grow along an edge, so the first channels of a wider source are taken.
        terms = [_truncate(tensors[s], width) for s in range(1, vertex) if matrix[s, vertex]]
        if matrix[0, vertex]:
            terms.append(_conv_bn_relu(x, width, 1, f"{scope}_projection", policy))
        tensors.append(_operation(ops[vertex], _sum(terms, scope, policy), width, scope, policy))

    feeders = [tensors[v] for v in range(1, output) if matrix[v, output]]
    terms = []
    if len(feeders) > 1:
        concat = keras.layers.Concatenate(axis=-1, dtype=policy, name=f"{name}_concat")
        terms.append(concat(feeders))
    elif feeders:
        terms.append(feeders[0])
    if matrix[0, output]:
        terms.append(_conv_bn_relu(x, output_channels, 1, f"{name}_projection", policy))
    return _sum(terms, name, policy)


def _operation(op, x, channels, name, policy):
    if op == nasbench101.CONV3X3:
        return _conv_bn_relu(x, channels, 3, name, policy)
    if op == nasbench101.CONV1X1:
        return _conv_bn_relu(x, channels, 1, name, policy)
    return _max_pool(x, 3, 1, f"{name}_maxpool", policy)


def _max_pool(x, pool_size, strides, name, policy):
    return keras.layers.MaxPooling2D(
        pool_size,
        strides=strides,
        padding="same",
        data_format="channels_last",
        dtype=policy,
        name=name,
    )(x)


def _conv_bn_relu(x, channels, kernel_size, name, policy):
    # `lecun_normal` is TF1's default variance scaling (1.0, fan_in, truncated normal), not Keras'
    # default of glorot_uniform.
    conv = keras.layers.Conv2D(
        channels,
        kernel_size,
        padding="same",
        data_format="channels_last",
        use_bias=False,
        kernel_initializer="lecun_normal",
        dtype=policy,
        name=f"{name}_conv",
    )
    batch_norm = keras.layers.BatchNormalization(
        axis=-1,
        momentum=BATCH_NORM_MOMENTUM,
        epsilon=BATCH_NORM_EPSILON,
        dtype=policy,
        name=f"{name}_bn",
    )
    return keras.layers.ReLU(dtype=policy, name=f"{name}_relu")(batch_norm(conv(x)))


def _truncate(x, channels):
    return x if x.shape[-1] == channels else x[..., :channels]


def _sum(terms, name, policy):
    if len(terms) == 1:
        return terms[0]
    return keras.layers.Add(dtype=policy, name=f"{name}_sum")(terms)
