"""Draws follow each variable's own initialiser, in independent streams."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from nngp_tf.kernels.weights import MAX_INITIALISATIONS, WeightSampler

pytestmark = pytest.mark.fast

initializers = keras.initializers
layers = keras.layers

FAN_IN, FAN_OUT = 100, 400


def sequential(*stack, shape):
    return keras.Sequential([keras.Input(shape), *stack])


def dense(initialiser, fan_in=FAN_IN, fan_out=FAN_OUT):
    return sequential(layers.Dense(fan_out, kernel_initializer=initialiser), shape=(fan_in,))


def drawn(model, initialisation=0, seed=0):
    """Map (layer, variable) names to a draw, an array for each variable of the model."""
    weights = WeightSampler(model).draw(seed, initialisation)
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    tensors = [*weights.trainable, *weights.non_trainable]
    assert len(variables) == len(tensors)
    return {v.path: t.numpy() for v, t in zip(variables, tensors, strict=True)}


def kernel(model, initialisation=0, seed=0):
    """The first trainable variable of a draw."""
    return WeightSampler(model).draw(seed, initialisation).trainable[0].numpy()


def assert_same_distribution(sample, reference):
    """A two-sample Kolmogorov-Smirnov test, which wrong fans or truncations fail by far.

    References have seeds, so a test that passes goes on passing.
    """
    assert stats.ks_2samp(sample.ravel(), reference.ravel()).pvalue > 1e-5


class OneWeight(layers.Layer):
    """A layer with a weight of any shape."""

    def __init__(self, shape, weight_initializer):
        super().__init__()
        self.weight_initializer = weight_initializer
        self.weight = self.add_weight(shape=shape, initializer=weight_initializer, name="weight")

    def call(self, x):
        return x * keras.ops.sum(self.weight)


RANDOM = [
    initializers.RandomNormal(mean=0.3, stddev=0.2, seed=1),
    initializers.TruncatedNormal(mean=-0.3, stddev=0.2, seed=1),
    initializers.RandomUniform(-0.1, 0.4, seed=1),
    initializers.GlorotNormal(seed=1),
    initializers.GlorotUniform(seed=1),
    initializers.HeNormal(seed=1),
    initializers.HeUniform(seed=1),
    initializers.LecunNormal(seed=1),
    initializers.LecunUniform(seed=1),
    *(
        initializers.VarianceScaling(0.7, mode, distribution, seed=1)
        for mode in ("fan_in", "fan_out", "fan_avg")
        for distribution in ("normal", "truncated_normal", "untruncated_normal", "uniform")
    ),
]


def initialiser_id(initialiser):
    config = initialiser.get_config()
    details = [str(config[k]) for k in ("mode", "distribution") if k in config]
    return "-".join([type(initialiser).__name__, *details])


class TestRandomInitialisers:
    @pytest.mark.parametrize("initialiser", RANDOM, ids=initialiser_id)
    def test_distribution_is_that_of_keras(self, initialiser):
        sample = kernel(dense(initialiser))
        reference = np.asarray(initialiser((FAN_IN, FAN_OUT), "float32"))
        assert_same_distribution(sample, reference)
        # 40,000 values: the standard error of the mean is 0.005 standard deviations, and that of
        # the standard deviation at most 0.0035 of itself, for either sample.
        spread = reference.std()
        assert abs(sample.mean() - reference.mean()) < 0.03 * spread
        assert abs(sample.std() / spread - 1) < 0.02

    @pytest.mark.parametrize(
        ("name", "variance"),
        [
            ("glorot_normal", 2 / (FAN_IN + FAN_OUT)),
            ("glorot_uniform", 2 / (FAN_IN + FAN_OUT)),
            ("he_normal", 2 / FAN_IN),
            ("he_uniform", 2 / FAN_IN),
            ("lecun_normal", 1 / FAN_IN),
            ("lecun_uniform", 1 / FAN_IN),
        ],
    )
    def test_published_variances(self, name, variance):
        assert abs(kernel(dense(name)).var() / variance - 1) < 0.03

    def test_support_of_the_uniform(self):
        sample = kernel(dense(initializers.RandomUniform(-0.1, 0.4)))
        assert -0.1 <= sample.min() < -0.099
        assert 0.399 < sample.max() <= 0.4

    def test_support_of_the_truncated_normal(self):
        sample = kernel(dense(initializers.TruncatedNormal(stddev=0.5)))
        assert np.abs(sample).max() <= 1.0
        # Truncation at two standard deviations, and not at a smaller number of them.
        assert np.abs(sample).max() > 0.99

    # Axes before the last two count as receptive field; a vector's fans are its length.
    @pytest.mark.parametrize("shape", [(3, 3, 16, 64), (5, 16, 64), (2, 3, 2, 8, 20), (4000,)])
    @pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
    def test_fans_of_other_shapes(self, shape, mode):
        initialiser = initializers.VarianceScaling(2.0, mode, "truncated_normal", seed=1)
        layer = OneWeight(shape, initialiser)
        sample = kernel(sequential(layer, shape=(1,)))
        assert_same_distribution(sample, layer.weight.numpy())
        assert abs(sample.std() / layer.weight.numpy().std() - 1) < 0.08

    def test_subclass_that_departs_from_its_parent(self):
        class Shifted(initializers.HeNormal):
            def __call__(self, shape, dtype=None):
                return super().__call__(shape, dtype) + 3

        assert abs(kernel(dense(Shifted())).mean() - 3) < 0.01

    def test_convolution_kernels_count_the_receptive_field(self):
        convolution = layers.Conv2D(64, 3, kernel_initializer="lecun_normal")
        sample = kernel(sequential(convolution, shape=(8, 8, 32)))
        assert sample.shape == (3, 3, 32, 64)
        assert abs(sample.var() * (3 * 3 * 32) - 1) < 0.05

    @pytest.mark.parametrize(("fan_in", "fan_out"), [(40, 40), (30, 50), (50, 30)])
    def test_orthogonal(self, fan_in, fan_out):
        model = dense(initializers.Orthogonal(gain=1.5), fan_in, fan_out)
        samples = [kernel(model, i) for i in range(8)]
        smaller = min(fan_in, fan_out)
        for sample in samples:
            gram = sample @ sample.T if fan_in < fan_out else sample.T @ sample
            np.testing.assert_allclose(gram, 1.5**2 * np.eye(smaller), atol=1e-5)
        entries = np.stack(samples)
        # Orthogonal matrices are drawn uniformly, so signs are even in every row and column.
        scale = entries.std() * np.sqrt(len(samples))
        for axes in ((0, 1), (0, 2)):
            count = np.prod([entries.shape[a] for a in axes]) / len(samples)
            assert (
                np.abs(entries.mean(axes)).max() < 5 * scale / np.sqrt(count) / len(samples) ** 0.5
            )

    def test_orthogonal_convolution(self):
        convolution = layers.Conv2D(8, 3, kernel_initializer="orthogonal")
        sample = kernel(sequential(convolution, shape=(8, 8, 4))).reshape(36, 8)
        np.testing.assert_allclose(sample.T @ sample, np.eye(8), atol=1e-5)

    def test_custom_initialiser_without_a_seed_that_is_constant(self):
        class Thirds(initializers.Initializer):
            def __call__(self, shape, dtype=None):
                return keras.ops.ones(shape, dtype) / 3

        np.testing.assert_array_equal(kernel(dense(Thirds())), np.float32(1) / 3)

    def test_custom_initialiser_that_draws_from_its_seed(self):
        class Exponential(initializers.Initializer):
            def __init__(self, seed=None):
                self.seed = seed

            def __call__(self, shape, dtype=None):
                # Two draws, whose streams must differ.
                one = keras.random.uniform(shape, dtype=dtype, seed=self.seed)
                two = keras.random.uniform(shape, dtype=dtype, seed=self.seed)
                return -keras.ops.log(one) - keras.ops.log(two)

        sample = kernel(dense(Exponential()))
        assert stats.kstest(sample.ravel()[:2000], stats.gamma(2).cdf).pvalue > 1e-3


CONSTANT = [
    (initializers.Zeros(), (5, 7)),
    (initializers.Ones(), (5, 7)),
    (initializers.Constant(-2.5), (5, 7)),
    (initializers.Identity(gain=3.0), (6, 6)),
    (initializers.Identity(), (4, 6)),
]


class TestConstantInitialisers:
    @pytest.mark.parametrize(("initialiser", "shape"), CONSTANT)
    def test_values_are_those_of_keras(self, initialiser, shape):
        model = dense(initialiser, *shape)
        np.testing.assert_array_equal(kernel(model), initialiser(shape))
        np.testing.assert_array_equal(kernel(model, 7, seed=3), initialiser(shape))

    @pytest.mark.parametrize("side", ["real", "imag"])
    def test_short_time_fourier_transform(self, side):
        initialiser = initializers.STFT(side, "hann")
        convolution = layers.Conv1D(9, 16, kernel_initializer=initialiser)
        sample = kernel(sequential(convolution, shape=(32, 1)))
        np.testing.assert_array_equal(sample, initialiser((16, 1, 9)))


# Each variable of a layer gets an initialiser that cannot be taken for another's.
def normal(mean):
    return initializers.RandomNormal(mean, 0.1, seed=mean)


LAYERS = [
    (layers.Dense(60, kernel_initializer=normal(1), bias_initializer=normal(2)), (50,)),
    (
        layers.EinsumDense(
            "abc,cde->abde",
            (None, 8, 16),
            bias_axes="de",
            kernel_initializer=normal(1),
            bias_initializer=normal(2),
        ),
        (5, 12),
    ),
    (layers.Embedding(50, 40, embeddings_initializer=normal(1)), (6,)),
    (layers.Conv1D(16, 3, kernel_initializer=normal(1), bias_initializer=normal(2)), (9, 20)),
    (layers.Conv2D(16, 3, kernel_initializer=normal(1), bias_initializer=normal(2)), (9, 9, 8)),
    (layers.Conv3D(8, 3, kernel_initializer=normal(1), bias_initializer=normal(2)), (5, 5, 5, 6)),
    (
        layers.Conv2DTranspose(16, 3, kernel_initializer=normal(1), bias_initializer=normal(2)),
        (9, 9, 8),
    ),
    (
        layers.DepthwiseConv2D(
            3, depth_multiplier=4, depthwise_initializer=normal(1), bias_initializer=normal(2)
        ),
        (9, 9, 30),
    ),
    (layers.DepthwiseConv1D(5, 8, depthwise_initializer=normal(1)), (9, 30)),
    (
        layers.SeparableConv2D(
            40,
            3,
            depthwise_initializer=normal(1),
            pointwise_initializer=normal(2),
            bias_initializer=normal(3),
        ),
        (9, 9, 100),
    ),
    (
        layers.SeparableConv1D(
            40, 3, depthwise_initializer=normal(1), pointwise_initializer=normal(2)
        ),
        (9, 200),
    ),
    (
        layers.BatchNormalization(
            gamma_initializer=normal(1),
            beta_initializer=normal(2),
            moving_mean_initializer=normal(3),
            moving_variance_initializer=normal(4),
        ),
        (3, 3, 500),
    ),
    (layers.BatchNormalization(), (3, 3, 6)),
    (layers.LayerNormalization(gamma_initializer=normal(1), beta_initializer=normal(2)), (500,)),
    (
        layers.GroupNormalization(4, gamma_initializer=normal(1), beta_initializer=normal(2)),
        (3, 3, 500),
    ),
    (layers.PReLU(alpha_initializer=normal(1)), (20, 30)),
    (
        layers.SimpleRNN(30, kernel_initializer=normal(1), recurrent_initializer=normal(2)),
        (4, 20),
    ),
    (
        layers.GRU(
            20,
            kernel_initializer=normal(1),
            recurrent_initializer=normal(2),
            bias_initializer=normal(3),
        ),
        (4, 20),
    ),
    (
        layers.LSTM(
            20,
            kernel_initializer=normal(1),
            recurrent_initializer=normal(2),
            bias_initializer=normal(3),
            unit_forget_bias=False,
        ),
        (4, 20),
    ),
    (
        layers.Bidirectional(
            layers.GRU(20, kernel_initializer=normal(1), recurrent_initializer=normal(2))
        ),
        (4, 20),
    ),
    (layers.TimeDistributed(layers.Dense(60, kernel_initializer=normal(1))), (4, 20)),
]
HE_NORMAL = initializers.HeNormal(seed=1)
LAYERS += [
    pytest.param(
        layers.EinsumDense("abc,cde->abde", (None, 8, 16), kernel_initializer=HE_NORMAL), (5, 12)
    ),
    pytest.param(
        layers.EinsumDense("abc,bcd->abd", (5, 30), kernel_initializer=HE_NORMAL), (5, 12)
    ),
    (layers.DepthwiseConv2D(3, 8, depthwise_initializer=HE_NORMAL), (9, 9, 30)),
    (layers.Conv2DTranspose(24, 3, kernel_initializer=HE_NORMAL), (9, 9, 8)),
    (layers.Conv2D(24, 3, groups=4, kernel_initializer=HE_NORMAL), (9, 9, 32)),
    (layers.Embedding(50, 40, embeddings_initializer=HE_NORMAL), (6,)),
    (layers.BatchNormalization(gamma_initializer=HE_NORMAL), (3, 3, 2000)),
]
if hasattr(layers, "RMSNormalization"):
    LAYERS.append((layers.RMSNormalization(), (6,)))


class TestLayers:
    @pytest.mark.parametrize(
        ("layer", "shape"), LAYERS, ids=lambda x: "" if isinstance(x, tuple) else type(x).__name__
    )
    def test_every_variable_follows_its_own_initialiser(self, layer, shape):
        # Keras' own draw, made when the layer was built, is the reference.
        model = sequential(layer, shape=shape)
        assert model.variables
        draws = [drawn(model, i) for i in range(4)]
        for variable in model.variables:
            reference = variable.numpy()
            samples = np.stack([draw[variable.path] for draw in draws])
            assert samples.shape[1:] == reference.shape
            if np.ptp(reference) == 0:
                np.testing.assert_array_equal(samples, np.broadcast_to(reference, samples.shape))
            else:
                assert_same_distribution(samples, reference)

    def test_attention_has_a_stream_for_each_kernel(self):
        """Variables of one name in several sublayers."""
        tokens = keras.Input((4, 12))
        attention = layers.MultiHeadAttention(2, 6, kernel_initializer=normal(1))
        model = keras.Model(tokens, attention(tokens, tokens))
        kernels = [w for path, w in drawn(model).items() if path.endswith("kernel")]
        assert len(kernels) == 4
        for one, two in itertools.combinations(kernels, 2):
            assert not np.isin(one, two).any()

    def test_attention_counts_fans_by_its_heads(self):
        tokens = keras.Input((4, 30))
        attention = layers.MultiHeadAttention(4, 20, kernel_initializer=HE_NORMAL)
        model = keras.Model(tokens, attention(tokens, tokens))
        draws = drawn(model)
        for variable in model.trainable_variables:
            if variable.name == "kernel":
                assert_same_distribution(draws[variable.path], variable.numpy())

    def test_nested_models(self):
        inner = sequential(layers.Dense(40, kernel_initializer=normal(1)), shape=(30,))
        outer = sequential(inner, layers.Dense(30, kernel_initializer=normal(2)), shape=(30,))
        weights = WeightSampler(outer).draw(0, 0).trainable
        assert [round(float(tf.reduce_mean(w))) for w in weights] == [1, 0, 2, 0]

    def test_layers_of_one_name_in_nested_models_differ(self):
        def block():
            stack = [layers.Dense(8, name="projection"), layers.BatchNormalization()]
            return sequential(*stack, shape=(8,))

        model = sequential(block(), block(), shape=(8,))
        one, two = (w for w in WeightSampler(model).draw(0, 0).trainable if w.shape.rank == 2)
        assert not np.isin(one, two).any()

    def test_weight_of_a_subclassed_model_with_an_initialiser(self):
        class Projection(keras.Model):
            def __init__(self):
                super().__init__()
                self.matrix_initializer = normal(3)
                self.matrix = self.add_weight(
                    shape=(30, 40), initializer=self.matrix_initializer, name="matrix"
                )

            def call(self, x, training=None):
                return x @ self.matrix

        model = Projection()
        model(np.zeros((1, 30), "float32"))
        assert_same_distribution(kernel(model), model.matrix.numpy())

    def test_bare_weight_of_a_subclassed_model(self):
        class Bare(keras.Model):
            def __init__(self):
                super().__init__(name="bare")
                self.matrix = self.add_weight(shape=(30, 40), name="matrix")

            def call(self, x, training=None):
                return x @ self.matrix

        model = Bare()
        model(np.zeros((1, 30), "float32"))
        assert_same_distribution(kernel(model), model.matrix.numpy())

    def test_scale_of_attention(self):
        x = keras.Input((4, 3))
        model = keras.Model(x, layers.Attention(use_scale=True)([x, x]))
        np.testing.assert_array_equal(kernel(model), 1.0)

    def test_weight_tied_to_another_layer(self):
        class Transposed(layers.Layer):
            """The decoder of an autoencoder, with the encoder's kernel."""

            def __init__(self, encoder):
                super().__init__()
                self.encoder = encoder
                self.kernel_initializer = initializers.Zeros()
                self.bias_initializer = initializers.Ones()

            def call(self, x):
                return keras.ops.matmul(x, keras.ops.transpose(self.encoder.kernel))

        encoder = layers.Dense(40, kernel_initializer=normal(1))
        inputs = keras.Input((30,))
        model = keras.Model(inputs, Transposed(encoder)(encoder(inputs)))
        weights = WeightSampler(model).draw(0, 0).trainable
        assert [round(float(tf.reduce_mean(w))) for w in weights] == [1, 0]

    @pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "bfloat16", "float64"])
    def test_a_variables_dtype_is_kept(self, policy):
        stack = [layers.Dense(8, dtype=policy), layers.BatchNormalization(dtype=policy)]
        model = sequential(*stack, layers.Dropout(0.5, dtype=policy), shape=(4,))
        weights = WeightSampler(model).draw(0, 0)
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        assert [t.dtype.name for t in [*weights.trainable, *weights.non_trainable]] == [
            v.dtype for v in variables
        ]
        assert weights.trainable[0].dtype == ("float32" if "mixed" in policy else policy)


class TestStreams:
    def test_depend_on_seed_initialisation_and_variable(self):
        stack = [layers.Dense(8, use_bias=False), layers.Dense(8, use_bias=False)]
        sampler = WeightSampler(sequential(*stack, shape=(8,)))
        draws = [
            weight.numpy()
            for seed in (0, 1, 2, 2**20, 2**31 - 1)
            for initialisation in (0, 1, 2, 4096, MAX_INITIALISATIONS - 1)
            for weight in sampler.draw(seed, initialisation).trainable
        ]
        values = np.stack(draws)
        assert np.isfinite(values).all()
        # No value twice: float32 uniforms have 2**23 values, so 3,200 of them hardly collide.
        assert len(np.unique(values)) > 0.998 * values.size

    @pytest.mark.parametrize("initialiser", ["glorot_uniform", "he_normal", "random_normal"])
    def test_are_uncorrelated(self, initialiser):
        options = {"use_bias": False, "kernel_initializer": initialiser}
        stack = [layers.Dense(100, **options), layers.Dense(100, **options)]
        sampler = WeightSampler(sequential(*stack, shape=(100,)))
        # Neighbours in seed and in initialisation, and seeds whose difference is a power of two.
        draws = [
            weight.numpy().ravel()
            for seed in (0, 1, 2, 2**20, 2**20 + 1)
            for initialisation in (0, 1, 2, 3)
            for weight in sampler.draw(seed, initialisation).trainable
        ]
        correlation = np.corrcoef(draws)
        np.fill_diagonal(correlation, 0)
        # 780 pairs of standard error 0.01.
        assert np.abs(correlation).max() < 0.05
        assert abs(correlation.std() / 0.01 - 1) < 0.15

    @pytest.mark.parametrize(
        "kind", [initializers.HeNormal, initializers.HeUniform, initializers.Orthogonal]
    )
    def test_a_fixed_seed_in_an_initialiser_is_overridden(self, kind):
        initialiser = kind(seed=7)
        options = {"use_bias": False, "kernel_initializer": initialiser}
        stack = [layers.Dense(8, **options), layers.Dense(8, **options)]
        sampler = WeightSampler(sequential(*stack, shape=(8,)))
        one, two = sampler.draw(0, 0).trainable
        other, _ = sampler.draw(0, 1).trainable
        assert not np.isin(one, two).any()
        assert not np.isin(one, other).any()
        # The user's object is left as it was.
        assert initialiser.seed == 7
        assert initialiser.get_config()["seed"] == 7

    def test_are_equal_across_calls_samplers_models_and_graphs(self):
        def build():
            stack = [layers.Conv2D(4, 3, kernel_initializer="orthogonal"), layers.Dropout(0.5)]
            return sequential(*stack, layers.Flatten(), layers.Dense(5), shape=(6, 6, 3))

        sampler = WeightSampler(build())
        # One program for all seeds and initialisations: both are arguments, not constants.
        in_graph = tf.function(lambda seed, index: vars(sampler.draw(seed, index)))
        for seed, initialisation in ((0, 0), (5, 0), (0, 3)):
            expected = vars(sampler.draw(seed, initialisation))
            again = vars(sampler.draw(tf.constant(seed), tf.constant(initialisation)))
            rebuilt = vars(WeightSampler(build()).draw(seed, initialisation))
            graph = in_graph(tf.constant(seed), tf.constant(initialisation))
            for other in (again, rebuilt, graph):
                tf.nest.map_structure(np.testing.assert_array_equal, other, expected)
        assert in_graph.experimental_get_tracing_count() == 1

    def test_the_global_seed_and_earlier_draws_play_no_part(self):
        sampler = WeightSampler(dense("glorot_uniform"))
        expected = sampler.draw(0, 0).trainable[0]
        keras.utils.set_random_seed(17)
        sampler.draw(0, 1)
        np.testing.assert_array_equal(sampler.draw(0, 0).trainable[0], expected)

    def test_freezing_a_layer_changes_no_draw(self):
        model = sequential(layers.Dense(8), layers.Dense(8), shape=(8,))
        expected = drawn(model)
        model.layers[0].trainable = False
        for path, weight in drawn(model).items():
            np.testing.assert_array_equal(weight, expected[path])

    def test_the_layers_that_follow_play_no_part(self):
        """A network cut at its features draws what the whole network draws."""
        inputs = keras.Input((8,))
        hidden = layers.Dense(8)(layers.Dense(8)(inputs))
        whole = keras.Model(inputs, layers.Dense(3)(hidden))
        expected = drawn(whole)
        assert len(expected) == 6
        cut = drawn(keras.Model(inputs, hidden))
        assert len(cut) == 4
        for path, weight in cut.items():
            np.testing.assert_array_equal(weight, expected[path])

    def test_variables_of_the_model_are_neither_read_nor_changed(self):
        model = dense("he_normal")
        expected = drawn(model)
        for variable in model.variables:
            variable.assign(np.full(variable.shape, 9.0))
        tf.nest.map_structure(np.testing.assert_array_equal, drawn(model), expected)
        assert all(np.all(variable.numpy() == 9) for variable in model.variables)

    @pytest.mark.parametrize("in_graph", [False, True])
    def test_no_variable_is_created(self, in_graph):
        created = []

        def record(creator, **options):
            created.append(options.get("name"))
            return creator(**options)

        stack = [layers.Conv2D(4, 3, kernel_initializer="orthogonal"), layers.BatchNormalization()]
        model = sequential(*stack, layers.Dropout(0.1), layers.Dense(3), shape=(6, 6, 3))
        with tf.variable_creator_scope(record):
            sampler = WeightSampler(model)
            draw = lambda: vars(sampler.draw(0, 0))  # noqa: E731
            (tf.function(draw) if in_graph else draw)()
            assert created == []
            tf.Variable(1.0, name="control")
        assert created == ["control"]

    def test_random_layers_have_a_state_of_their_own_in_each_initialisation(self):
        stack = [layers.Dropout(0.5), layers.GaussianNoise(1.0), layers.GaussianDropout(0.5)]
        model = sequential(*stack, shape=(64,))
        sampler = WeightSampler(model)
        masks = []
        for initialisation in (0, 0, 1):
            weights = sampler.draw(0, initialisation)
            states = np.stack([state.numpy() for state in weights.non_trainable])
            assert states.shape == (3, 2)
            assert len(np.unique(states)) == 6
            output, _ = model.stateless_call(
                weights.trainable, weights.non_trainable, np.ones((1, 64), "float32"), training=True
            )
            masks.append(output.numpy())
        np.testing.assert_array_equal(masks[0], masks[1])
        assert not np.array_equal(masks[0], masks[2])


class Unseeded(initializers.Initializer):
    """Draws by another's seed."""

    def __call__(self, shape, dtype=None):
        return keras.random.normal(shape, dtype=dtype, seed=1)


class Values(layers.Layer):
    def __init__(self):
        super().__init__(name="values")
        self.matrix = keras.Variable(np.ones((3, 4), "float32"), name="matrix")

    def call(self, x):
        return x @ self.matrix


UNDRAWABLE = {
    "unseeded": (
        lambda: sequential(layers.Dense(4, bias_initializer=Unseeded(), name="d"), shape=(3,)),
        "variable 'bias' of layer 'd' .Dense. has the initialiser .*which takes no seed",
    ),
    "lstm": (
        lambda: sequential(layers.LSTM(4, bias_initializer="random_normal"), shape=(3, 2)),
        "variable 'bias' of layer '.*' .LSTMCell.*which takes no seed",
    ),
    "values": (
        lambda: sequential(Values(), shape=(3,)),
        "variable 'matrix' of layer 'values' .Values.",
    ),
}


class TestWhatCannotBeDrawn:
    @pytest.mark.parametrize(("build", "message"), UNDRAWABLE.values(), ids=UNDRAWABLE)
    def test_names_layer_and_variable(self, build, message):
        with pytest.raises(ValueError, match=message):
            WeightSampler(build())

    def test_custom_initialiser_that_does_not_draw_with_keras(self):
        class Numpy(initializers.Initializer):
            def __init__(self, seed=None):
                self.seed = seed

            def __call__(self, shape, dtype=None):
                return np.random.default_rng(self.seed).normal(size=shape).astype(dtype)

        model = sequential(layers.Dense(4, kernel_initializer=Numpy(0), name="d"), shape=(3,))
        with pytest.raises(ValueError, match=r"'kernel' of layer 'd' \(Dense\) cannot be drawn"):
            WeightSampler(model).draw(0, 0)

    @pytest.mark.parametrize("name", ["EfficientNetB0", "ConvNeXtTiny"])
    def test_applications_with_layers_of_their_own(self, name):
        build = getattr(keras.applications, name)
        model = build(weights=None, include_top=False, input_shape=(32, 32, 3))
        WeightSampler(model)
