import subprocess
import sys

import numpy as np
import pytest

from nngp_tf.data import labels

pytestmark = pytest.mark.fast


def test_ten_classes_give_the_notebooks_targets():
    # Its rule: float(x == i) - 0.1 for i in range(10).
    classes = [3, 0, 9]
    expected = np.array([[float(x == i) - 0.1 for i in range(10)] for x in classes])
    targets = labels.centred_one_hot(classes, 10)
    assert targets.dtype == np.float64
    np.testing.assert_allclose(targets, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("num_classes", [2, 3, 1000])
def test_rows_sum_to_zero_and_peak_at_the_label(num_classes):
    classes = np.arange(num_classes)[::-1]
    targets = labels.centred_one_hot(classes, num_classes)
    np.testing.assert_allclose(targets.sum(axis=1), 0.0, atol=1e-12)
    np.testing.assert_array_equal(targets.argmax(axis=1), classes)
    np.testing.assert_allclose(np.ptp(targets, axis=1), 1.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint64])
def test_every_integer_dtype_is_taken(dtype):
    given = np.array([0, 2, 1], dtype)
    checked = labels.check_labels("y", given, 3)
    assert checked.dtype == np.int64
    np.testing.assert_array_equal(checked, given)


@pytest.mark.parametrize("empty", [[], np.zeros(0, np.int64)])
def test_no_labels_give_no_rows(empty):
    assert labels.centred_one_hot(empty, 4).shape == (0, 4)


@pytest.mark.parametrize(
    "given, num_classes, message",
    [
        ([0, 1, 5, 7], 5, r"labels\[2\] is 5, expected a class index in 0\.\.4"),
        ([0, -1, 1], 3, r"labels\[1\] is -1, expected a class index in 0\.\.2"),
        ([0.0, 1.0, 1.5], 3, r"labels\[2\] is 1\.5 \(float64\), expected an integer"),
        (np.array([2.0, 1.0]), 3, r"labels\[0\] is 2\.0 \(float64\).*astype"),
        ([0.0, np.nan], 3, r"labels\[1\] is nan"),
        ([True, False], 3, r"labels\[0\] is True \(bool\)"),
        (["cat"], 3, r"labels\[0\] is 'cat'"),
        (np.eye(3, dtype=int), 3, r"labels has shape \[3, 3\], expected \[N\].*one-hot"),
        (1, 3, r"labels has shape \[\]"),
        ([0, 0], 1, "num_classes=1, expected at least 2"),
        ([0, 0], 2.0, "num_classes=2.0, expected an integer"),
        ([0, 0], True, "num_classes=True, expected an integer"),
    ],
)
def test_bad_labels_are_named(given, num_classes, message):
    with pytest.raises(ValueError, match=message) as error:
        labels.centred_one_hot(given, num_classes)
    assert "\n" not in str(error.value)


def test_labels_and_checks_import_no_tensorflow():
    code = (
        "import sys; import nngp_tf.data.labels, nngp_tf.data.checks, nngp_tf.data.subsets; "
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
