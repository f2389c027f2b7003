"""The dtype that features are computed in: what a device gets, and how a model is converted."""

import builtins
import io
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.kernels import precision

pytestmark = pytest.mark.fast

layers = keras.layers


@pytest.fixture
def cpu(monkeypatch):
    """Gives this machine's CPU other flags; None for a system that does not tell."""

    def set_flags(flags):
        def fake_open(path, *args, **options):
            if path != "/proc/cpuinfo":
                return builtins.open(path, *args, **options)
            if flags is None:
                raise FileNotFoundError(path)
            return io.StringIO(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")

        monkeypatch.setattr(precision, "open", fake_open, raising=False)

    return set_flags


def on(device):
    """What is asked of a strategy whose replicas run on a device that need not be there."""
    return types.SimpleNamespace(
        extended=types.SimpleNamespace(worker_devices=(f"/job:localhost/device:{device}:0",))
    )


def tpu_strategy():
    return object.__new__(tf.distribute.TPUStrategy)


class TestDefault:
    @pytest.mark.parametrize(
        ("flags", "expected"),
        [
            ("fpu sse avx2", "float32"),
            ("fpu avx512f amx_bf16 amx_tile", "bfloat16"),
            ("fpu avx512f avx512_bf16", "bfloat16"),
            # Flags that only look like it.
            ("fpu avx512_bf16x notamx_bf16", "float32"),
            ("", "float32"),
            (None, "float32"),
        ],
    )
    def test_follows_the_flags_of_the_cpu(self, cpu, flags, expected):
        cpu(flags)
        assert (
            precision.default_compute_dtype(tf.distribute.OneDeviceStrategy("/cpu:0")) == expected
        )
        assert precision.default_compute_dtype(on("CPU")) == expected

    def test_flags_of_the_cpu_do_not_concern_other_devices(self, cpu):
        cpu("fpu amx_bf16")
        assert precision.default_compute_dtype(on("GPU")) == "float32"
        cpu("fpu")
        assert precision.default_compute_dtype(tpu_strategy()) == "bfloat16"

    def test_is_a_dtype_that_may_be_asked_for(self):
        dtype = precision.default_compute_dtype()
        assert precision.check_compute_dtype(dtype) == dtype


class TestDeviceType:
    @pytest.mark.parametrize("device", ["CPU", "GPU"])
    def test_of_a_strategy(self, device):
        assert precision.device_type(on(device)) == device

    def test_of_real_strategies(self):
        assert precision.device_type(tf.distribute.OneDeviceStrategy("/cpu:0")) == "CPU"
        assert precision.device_type(tf.distribute.MirroredStrategy(["/cpu:0"])) == "CPU"

    def test_of_a_tpu(self):
        assert precision.device_type(tpu_strategy()) == "TPU"

    @pytest.mark.parametrize(("gpus", "expected"), [([], "CPU"), (["GPU:0"], "GPU")])
    def test_of_the_default_strategy(self, gpus, expected, monkeypatch):
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: gpus)
        assert precision.device_type() == expected
        assert precision.device_type(tf.distribute.get_strategy()) == expected

    def test_of_the_strategy_in_scope(self):
        with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
            assert precision.device_type() == "CPU"


class TestNames:
    @pytest.mark.parametrize("dtype", precision.COMPUTE_DTYPES)
    def test_variables_are_float32_or_better(self, dtype):
        policy = keras.DTypePolicy(precision.policy_name(dtype))
        assert policy.compute_dtype == dtype
        assert policy.variable_dtype == ("float64" if dtype == "float64" else "float32")

    @pytest.mark.parametrize("dtype", ["half", "mixed_bfloat16", "int8", ""])
    def test_unknown(self, dtype):
        message = f"compute_dtype must be one of float32, bfloat16, float16, float64, got '{dtype}'"
        for function in (precision.check_compute_dtype, precision.policy_name):
            with pytest.raises(ValueError, match=message):
                function(dtype)


def network(dtype=None):
    inner = keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            layers.Conv2D(5, 3, dtype=dtype, kernel_initializer=keras.initializers.HeNormal(3)),
            layers.BatchNormalization(
                momentum=0.7, moving_variance_initializer=keras.initializers.Constant(2.0)
            ),
        ],
        name="inner",
    )
    images = keras.Input((8, 8, 3), name="images")
    x = layers.Conv2D(4, 3, dtype=dtype, name="convolution")(images)
    x = inner(x)
    x = layers.Add(dtype=dtype)([x, layers.ReLU(dtype=dtype)(x)])
    return keras.Model(images, layers.GlobalAveragePooling2D(dtype=dtype, name="features")(x))


def computing(model):
    """Compute dtypes of the layers with weights."""
    found = model._flatten_layers(include_self=False)
    return {x.compute_dtype for x in found if x.weights and not isinstance(x, keras.Model)}


class TestConversion:
    def test_nothing_to_do(self):
        model = network()
        assert precision.in_compute_dtype(model, "float32") is model

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
    def test_twin(self, dtype):
        model = network()
        twin = precision.in_compute_dtype(model, dtype)
        assert computing(twin) == {dtype}
        assert computing(model) == {"float32"}
        assert {v.dtype for v in twin.variables} == {"float64" if dtype == "float64" else "float32"}
        # The same network otherwise, with variables of its own.
        assert [v.name for v in twin.variables] == [v.name for v in model.variables]
        assert [v.shape for v in twin.variables] == [v.shape for v in model.variables]
        assert not {id(v) for v in twin.variables} & {id(v) for v in model.variables}
        assert [x.name for x in twin.layers] == [x.name for x in model.layers]
        inner = twin.get_layer("inner").layers
        assert inner[0].kernel_initializer.get_config()["seed"] == 3
        assert inner[1].momentum == 0.7
        assert inner[1].moving_variance_initializer.value == 2.0

    def test_there_and_back(self):
        twin = precision.in_compute_dtype(network("mixed_bfloat16"), "float32")
        assert computing(twin) == {"float32"}

    def test_twin_computes_the_same(self):
        model = network()
        twin = precision.in_compute_dtype(model, "float64")
        twin.set_weights(model.get_weights())
        x = np.random.default_rng(0).normal(size=(3, 8, 8, 3))
        np.testing.assert_allclose(twin(x), model(x), rtol=1e-4, atol=1e-6)

    def test_frozen_layers_stay_frozen(self):
        model = network()
        model.get_layer("convolution").trainable = False
        twin = precision.in_compute_dtype(model, "bfloat16")
        assert len(twin.trainable_variables) == len(model.trainable_variables)

    def test_of_a_layer_within_a_layer(self):
        stack = [layers.Reshape((8, 24)), layers.TimeDistributed(layers.Dense(4))]
        model = keras.Sequential([keras.Input((8, 8, 3)), *stack])
        twin = precision.in_compute_dtype(model, "bfloat16")
        assert twin(np.ones((1, 8, 8, 3))).shape == (1, 8, 4)

    def test_subclassed_model(self):
        class Own(keras.Model):
            def __init__(self):
                super().__init__()
                self.dense = layers.Dense(3)

            def call(self, x, training=None):
                return self.dense(x)

        model = Own()
        model(np.zeros((1, 4)))
        assert precision.in_compute_dtype(model, "float32") is model
        with pytest.raises(
            ValueError, match=r"Own cannot be copied to compute in bfloat16.*policy"
        ):
            precision.in_compute_dtype(model, "bfloat16")

    def test_layer_that_cannot_be_copied(self):
        class Own(layers.Layer):
            def __init__(self, units):
                super().__init__()
                self.dense = layers.Dense(units)

            def call(self, x):
                return self.dense(x)

        images = keras.Input((4,))
        with pytest.raises(ValueError, match="cannot be copied to compute in bfloat16"):
            precision.in_compute_dtype(keras.Model(images, Own(3)(images)), "bfloat16")

    def test_lambda(self):
        stack = [layers.Lambda(lambda x: 2 * x), layers.Dense(3)]
        twin = precision.in_compute_dtype(keras.Sequential([keras.Input((4,)), *stack]), "bfloat16")
        assert computing(twin) == {"bfloat16"}


class TestSpacing:
    @pytest.mark.parametrize(
        ("dtype", "device", "expected"),
        [
            ("float32", "CPU", 2.0**-23),
            ("float32", "GPU", 2.0**-10),
            ("float32", "TPU", 2.0**-7),
            ("bfloat16", "GPU", 2.0**-7),
            ("float64", "GPU", 2.0**-52),
        ],
    )
    def test_is_that_of_the_factors(self, dtype, device, expected):
        assert precision.spacing(dtype, device) == expected

    @pytest.mark.parametrize("device", ["GPU", "TPU"])
    def test_is_that_of_float32_where_nothing_else_is_allowed(self, device):
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            assert precision.spacing("float32", device) == 2.0**-23
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(True)

    @pytest.mark.parametrize(("capability", "expected"), [((7, 5), 2.0**-23), ((9, 0), 2.0**-10)])
    def test_is_that_of_float32_on_a_gpu_without_tf32(self, monkeypatch, capability, expected):
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
        details = {"compute_capability": capability}
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
        assert precision.spacing("float32", "GPU") == expected
