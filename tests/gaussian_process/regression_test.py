"""Exact regression against SciPy, scikit-learn and leaving images out for real."""

import json

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor, kernels

from nngp_tf.data.labels import centred_one_hot
from nngp_tf.gaussian_process import DIAG_REGS, Regression, scan_diag_reg
from nngp_tf.gaussian_process.scan import CRITERIA
from tests.gaussian_process import examples
from tests.gaussian_process.examples import NUM_CLASSES

pytestmark = pytest.mark.fast

NUM_TRAIN, NUM_TEST = 24, 9
TRAIN_LABELS = examples.labels(NUM_TRAIN)
TEST_LABELS = examples.labels(NUM_TEST)
TRAIN_TARGETS = centred_one_hot(TRAIN_LABELS, NUM_CLASSES)
TEST_TARGETS = centred_one_hot(TEST_LABELS, NUM_CLASSES)
# Far enough from 0 for a solver that squares the condition number, as the references do.
MODERATE = np.array([1e-5, 1e-3, 0.1, 1.0, 100.0])


class Case:
    """Features, their kernel, and references computed from either without this package."""

    def __init__(self, num_inits, width, keep_features):
        self.z = examples.features(num_inits, NUM_TRAIN + NUM_TEST, width)
        self.kernel = examples.kernel(self.z, NUM_TRAIN, keep_features)
        stacked = np.concatenate(list(self.z), axis=1).astype(np.float64) / np.sqrt(num_inits)
        self.x_train, self.x_test = stacked[:NUM_TRAIN], stacked[NUM_TRAIN:]

    def noise(self, diag_reg):
        return diag_reg * np.trace(self.x_train @ self.x_train.T) / NUM_TRAIN

    def fit(self, diag_reg, kept=slice(None)):
        """Fits scikit-learn to the chosen training images; the noise is that of all of them."""
        regressor = GaussianProcessRegressor(
            kernels.DotProduct(sigma_0=0.0, sigma_0_bounds="fixed"),
            alpha=self.noise(diag_reg),
            optimizer=None,
        )
        return regressor.fit(self.x_train[kept], TRAIN_TARGETS[kept])

    def predict(self, diag_reg):
        mean, deviation = self.fit(diag_reg).predict(self.x_test, return_std=True)
        return mean, np.square(deviation[:, 0])

    def leave_one_out(self, diag_reg):
        """Predicts each training image after a fit to the others."""
        predictions = []
        for i in range(NUM_TRAIN):
            others = np.arange(NUM_TRAIN) != i
            regressor = self.fit(diag_reg, others)
            predictions.append(regressor.predict(self.x_train[i : i + 1], return_std=True))
        mean = np.concatenate([m for m, _ in predictions])
        variance = np.concatenate([np.square(d[:, 0]) for _, d in predictions])
        return mean, variance + self.noise(diag_reg)


@pytest.fixture(
    scope="module",
    params=[(2, 30, False), (2, 5, False), (2, 5, True)],
    ids=["of full rank", "of rank 10 in kernel space", "of rank 10 in feature space"],
)
def case(request):
    return Case(*request.param)


def accuracy(mean, labels):
    return np.mean(np.argmax(mean, axis=1) == labels)


def mean_nll(mean, variance, targets):
    density = scipy.stats.norm(mean, np.sqrt(variance)[:, None]).logpdf(targets)
    return -density.sum(axis=1).mean()


def finite(scan):
    return json.dumps(scan.to_json(), allow_nan=False)


def test_as_the_authors_notebook(case):
    scan = scan_diag_reg(case.kernel, TRAIN_LABELS, TEST_LABELS, NUM_CLASSES)
    np.testing.assert_array_equal(scan.diag_reg, np.logspace(-7, 2, 20))
    train, test = case.kernel.train_train, case.kernel.test_train
    regression = Regression(case.kernel, TRAIN_TARGETS)
    for index, eps in enumerate(DIAG_REGS):
        regularised = train + eps * np.trace(train) / NUM_TRAIN * np.eye(NUM_TRAIN)
        mean = test @ scipy.linalg.solve(regularised, TRAIN_TARGETS, assume_a="pos")
        np.testing.assert_allclose(regression.mean(eps), mean, rtol=1e-5, atol=1e-7)
        assert scan.test_accuracy[index] == accuracy(mean, TEST_LABELS)
    assert not scan.failed.any()
    assert scan.best("test_accuracy") == scan.test_accuracy.max()


def test_as_scikit_learn(case):
    scan = scan_diag_reg(case.kernel, TRAIN_LABELS, TEST_LABELS, NUM_CLASSES, MODERATE)
    regression = Regression(case.kernel, TRAIN_TARGETS)
    for index, diag_reg in enumerate(MODERATE):
        noise = regression.noise(diag_reg)
        np.testing.assert_allclose(noise, case.noise(diag_reg), rtol=1e-6)
        mean, variance = case.predict(diag_reg)
        np.testing.assert_allclose(regression.mean(diag_reg), mean, rtol=1e-5, atol=1e-7)
        # Without noise, and relative to the prior: what is left of it may be close to nothing.
        np.testing.assert_allclose(
            regression.variance(diag_reg), variance, rtol=1e-5, atol=1e-9 * noise / diag_reg
        )
        assert scan.test_accuracy[index] == accuracy(mean, TEST_LABELS)
        np.testing.assert_allclose(
            scan.test_nll[index], mean_nll(mean, variance + noise, TEST_TARGETS), rtol=1e-5
        )
        # Outputs are independent: scikit-learn adds up their log densities, too.
        np.testing.assert_allclose(
            scan.log_marginal_likelihood[index],
            case.fit(diag_reg).log_marginal_likelihood_value_,
            rtol=1e-5,
        )


def test_log_marginal_likelihood_is_the_density_of_the_targets(case):
    scan = scan_diag_reg(case.kernel, TRAIN_LABELS, None, NUM_CLASSES, MODERATE)
    for index, diag_reg in enumerate(MODERATE):
        covariance = case.x_train @ case.x_train.T + case.noise(diag_reg) * np.eye(NUM_TRAIN)
        density = scipy.stats.multivariate_normal(np.zeros(NUM_TRAIN), covariance)
        np.testing.assert_allclose(
            scan.log_marginal_likelihood[index], density.logpdf(TRAIN_TARGETS.T).sum(), rtol=1e-5
        )


def test_leave_one_out_is_leaving_one_out(case):
    scan = scan_diag_reg(case.kernel, TRAIN_LABELS, None, NUM_CLASSES, MODERATE)
    regression = Regression(case.kernel, TRAIN_TARGETS)
    for index, diag_reg in enumerate(MODERATE):
        mean, variance = case.leave_one_out(diag_reg)
        got_mean, got_variance = regression.leave_one_out(diag_reg)
        np.testing.assert_allclose(got_mean, mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(got_variance, variance, rtol=1e-4)
        assert scan.loo_accuracy[index] == accuracy(mean, TRAIN_LABELS)
        np.testing.assert_allclose(
            scan.loo_nll[index], mean_nll(mean, variance, TRAIN_TARGETS), rtol=1e-4
        )
        errors = np.sum(np.square(mean - TRAIN_TARGETS), axis=1)
        np.testing.assert_allclose(scan.loo_error[index], np.mean(errors), rtol=1e-4)


def test_feature_space_equals_kernel_space_over_the_whole_scan():
    in_features, in_kernel = (
        scan_diag_reg(Case(2, 5, keep).kernel, TRAIN_LABELS, TEST_LABELS, NUM_CLASSES)
        for keep in (True, False)
    )
    assert not in_kernel.failed.any()
    for name, values in vars(in_kernel).items():
        np.testing.assert_allclose(getattr(in_features, name), values, rtol=1e-5, err_msg=name)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("keep_features", [False, True])
def test_without_test_images(keep_features):
    z = examples.features(2, NUM_TRAIN, 5)
    kernel = examples.kernel(z, NUM_TRAIN, keep_features)
    for no_labels in (None, [], np.zeros(0, np.int64)):
        scan = scan_diag_reg(kernel, TRAIN_LABELS, no_labels, NUM_CLASSES)
        assert not scan.failed.any()
        assert np.isnan(scan.test_accuracy).all()
        assert np.isnan(scan.test_nll).all()
        assert np.isfinite(scan.loo_accuracy).all()
        assert np.isfinite(scan.loo_nll).all()
        assert np.isfinite(scan.log_marginal_likelihood).all()
        finite(scan)
    regression = Regression(kernel, TRAIN_TARGETS)
    assert regression.mean(0.1).shape == (0, NUM_CLASSES)
    assert regression.variance(0.1).shape == (0,)


def test_test_labels_may_be_unknown(case):
    known = scan_diag_reg(case.kernel, TRAIN_LABELS, TEST_LABELS, NUM_CLASSES)
    unknown = scan_diag_reg(case.kernel, TRAIN_LABELS, None, NUM_CLASSES)
    assert np.isnan(unknown.test_accuracy).all()
    assert np.isnan(unknown.test_nll).all()
    for name in ("loo_accuracy", "loo_nll", "log_marginal_likelihood", "failed"):
        np.testing.assert_array_equal(getattr(unknown, name), getattr(known, name))


@pytest.mark.parametrize("keep_features", [False, True])
def test_a_singular_kernel_fails_without_regulariser_only(keep_features):
    kernel = Case(2, 5, keep_features).kernel
    scan = scan_diag_reg(kernel, TRAIN_LABELS, TEST_LABELS, NUM_CLASSES, [0.0, 1e-6, 1.0])
    assert scan.failed.tolist() == [True, False, False]
    for name in CRITERIA:
        assert np.isnan(getattr(scan, name)).tolist() == [True, False, False]


def test_an_eigenvalue_lost_in_rounding_does_not_count():
    kernel = examples.from_matrix(np.diag([1.0, 1e-17, 1.0, 1.0]), 4)
    scan = scan_diag_reg(kernel, [0, 1, 2, 3], None, NUM_CLASSES, [0.0, 1e-7])
    assert scan.failed.tolist() == [True, False]


def test_a_regular_kernel_needs_no_regulariser():
    kernel = Case(2, 30, False).kernel
    scan = scan_diag_reg(kernel, TRAIN_LABELS, TEST_LABELS, NUM_CLASSES, 0.0)
    assert scan.failed.tolist() == [False]
    mean = kernel.test_train @ scipy.linalg.solve(kernel.train_train, TRAIN_TARGETS)
    assert scan.test_accuracy[0] == accuracy(mean, TEST_LABELS)


def test_an_indefinite_kernel_fails_where_cholesky_does():
    products = Case(2, 30, False).kernel.train_train
    lowest = np.linalg.eigvalsh(products)[0]
    # As rounding to a low precision may leave a kernel: a bit below semidefinite.
    kernel = examples.from_matrix(products - (lowest + 0.1) * np.eye(NUM_TRAIN), NUM_TRAIN)
    scan = scan_diag_reg(kernel, TRAIN_LABELS, None, NUM_CLASSES)
    expected = []
    for eps in DIAG_REGS:
        noise = eps * np.trace(kernel.train_train) / NUM_TRAIN
        try:
            scipy.linalg.cholesky(kernel.train_train + noise * np.eye(NUM_TRAIN))
            expected.append(False)
        except np.linalg.LinAlgError:
            expected.append(True)
    assert scan.failed.tolist() == expected
    assert True in expected
    assert False in expected
    np.testing.assert_array_equal(np.isnan(scan.loo_accuracy), scan.failed)
    assert not np.isnan(scan.best("loo_accuracy").diag_reg)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["train_train", "test_train", "test_test_diag"])
def test_a_kernel_that_is_not_finite_fails_everywhere(name, bad):
    kernel = Case(2, 5, True).kernel
    getattr(kernel, name).flat[-1] = bad
    scan = scan_diag_reg(kernel, TRAIN_LABELS, TEST_LABELS, NUM_CLASSES)
    assert scan.failed.all()
    assert np.isnan(scan.best("test_accuracy"))
    finite(scan)


@pytest.mark.parametrize("keep_features", [False, True])
def test_a_kernel_of_zeros_fails_everywhere(keep_features):
    z = np.zeros((1, NUM_TRAIN + NUM_TEST, 4), np.float32)
    kernel = examples.kernel(z, NUM_TRAIN, keep_features)
    assert scan_diag_reg(kernel, TRAIN_LABELS, TEST_LABELS, NUM_CLASSES).failed.all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("products", "fails"),
    [
        # Squares exceed float64, but no score needs them.
        (np.full((33, 33), 1e200) + np.eye(33) * 1e200, False),
        (np.eye(33) * 1e-308, False),  # Densities do.
        (np.eye(33) * 1e307, True),  # The trace does, so there is no regulariser.
        (np.full((33, 33), 1e307), True),  # The eigenvalue does, too.
    ],
)
def test_what_overflows_is_nan(products, fails):
    with np.errstate(over="ignore"):
        kernel = examples.from_matrix(products, NUM_TRAIN)
    scan = scan_diag_reg(kernel, TRAIN_LABELS, TEST_LABELS, NUM_CLASSES)
    assert scan.failed.tolist() == [fails] * len(DIAG_REGS)
    np.testing.assert_array_equal(np.isnan(scan.loo_accuracy), scan.failed)
    finite(scan)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("label", "expected"), [(0, 1.0), (1, 0.0)])
def test_a_density_without_variance_is_nan_and_the_rest_is_not(label, expected):
    # The test image is the first training image, and there is no noise: its class is certain, right
    # or wrong, and the density infinite or zero.
    products = np.eye(5)
    products[4, 0] = products[0, 4] = 1.0
    kernel = examples.from_matrix(products, 4)
    scan = scan_diag_reg(kernel, [0, 1, 2, 3], [label], NUM_CLASSES, [0.0, 0.5])
    assert scan.failed.tolist() == [False, False]
    assert scan.test_accuracy.tolist() == [expected, expected]
    assert np.isnan(scan.test_nll).tolist() == [True, False]
    finite(scan)


def test_arguments_are_left_alone(case):
    diag_reg = np.array([0.5, 0.25])
    scan = scan_diag_reg(case.kernel, TRAIN_LABELS, None, NUM_CLASSES, diag_reg)
    scan.diag_reg[:] = 7.0
    assert diag_reg.tolist() == [0.5, 0.25]
    scan_diag_reg(case.kernel, TRAIN_LABELS, None, NUM_CLASSES).diag_reg[:] = 7.0
    np.testing.assert_array_equal(DIAG_REGS, np.logspace(-7, 2, 20))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": TRAIN_LABELS[1:]}, "train_labels has 23 labels, but the kernel has 24"),
        ({"test_labels": [0]}, "test_labels has 1 labels, but the kernel has 9"),
        # Not the same as no labels: they may have been lost.
        ({"test_labels": []}, "test_labels has 0 labels, but the kernel has 9"),
        ({"train_labels": TRAIN_TARGETS}, r"train_labels has shape \[24, 4\], expected \[N\]"),
        ({"train_labels": TRAIN_LABELS + 1}, r"train_labels\[\d+\] is 4, expected .* in 0\.\.3"),
        ({"test_labels": TEST_LABELS - 1}, r"test_labels\[\d+\] is -1, expected .* in 0\.\.3"),
        ({"train_labels": TRAIN_LABELS * 1.0}, r"train_labels\[0\] is .* \(float64\), expected an"),
        ({"test_labels": ["a"] * 9}, r"test_labels\[0\] is 'a'"),
        ({"num_classes": 1}, "num_classes=1, expected at least 2"),
        ({"diag_reg": [0.1, -0.5]}, "diag_reg must be finite and at least 0, got -0.5"),
        ({"diag_reg": [np.nan]}, "diag_reg must be finite and at least 0, got nan"),
        ({"diag_reg": np.inf}, "diag_reg must be finite and at least 0, got inf"),
        ({"diag_reg": []}, r"diag_reg must be one or more numbers \[R\], got shape \(0,\)"),
        ({"diag_reg": [[1.0]]}, r"diag_reg must be one or more numbers \[R\], got shape \(1, 1\)"),
    ],
)
def test_bad_arguments(changes, message):
    arguments = {
        "train_labels": TRAIN_LABELS,
        "test_labels": TEST_LABELS,
        "num_classes": NUM_CLASSES,
        "diag_reg": DIAG_REGS,
    }
    with pytest.raises(ValueError, match=message):
        scan_diag_reg(Case(2, 5, False).kernel, **arguments | changes)


def test_a_single_training_image_is_predicted_from_nothing():
    kernel = examples.from_matrix([[2.0, 1.0], [1.0, 2.0]], 1)
    mean, variance = Regression(kernel, centred_one_hot([1], 2)).leave_one_out(0.5)
    np.testing.assert_allclose(mean, [[0.0, 0.0]], atol=1e-15)
    np.testing.assert_allclose(variance, [2.0 + 1.0])


@settings(deadline=None, max_examples=30)
@given(
    exponent=st.integers(-60, 60),
    seed=st.integers(0, 1000),
    keep_features=st.booleans(),
)
def test_the_scale_of_the_kernel_does_not_matter_to_accuracies(exponent, seed, keep_features):
    # The regulariser is relative: it does not matter either whether inner products are divided by
    # the width. Powers of two round nothing.
    z = examples.features(2, NUM_TRAIN + NUM_TEST, 5, seed)
    scans = [
        scan_diag_reg(
            examples.kernel(scaled, NUM_TRAIN, keep_features),
            TRAIN_LABELS,
            TEST_LABELS,
            NUM_CLASSES,
        )
        for scaled in (z, z * np.float32(2.0**exponent))
    ]
    for name in ("test_accuracy", "loo_accuracy", "failed"):
        np.testing.assert_array_equal(getattr(scans[0], name), getattr(scans[1], name))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), keep_features=st.booleans())
def test_the_order_of_images_and_classes_does_not_matter(seed, keep_features):
    rng = np.random.default_rng(seed)
    z = examples.features(1, NUM_TRAIN + NUM_TEST, 10, seed)
    images = np.concatenate([rng.permutation(NUM_TRAIN), NUM_TRAIN + rng.permutation(NUM_TEST)])
    classes = rng.permutation(NUM_CLASSES)
    scan = scan_diag_reg(
        examples.kernel(z, NUM_TRAIN, keep_features),
        TRAIN_LABELS,
        TEST_LABELS,
        NUM_CLASSES,
        MODERATE,
    )
    permuted = scan_diag_reg(
        examples.kernel(z[:, images], NUM_TRAIN, keep_features),
        classes[TRAIN_LABELS[images[:NUM_TRAIN]]],
        classes[TEST_LABELS[images[NUM_TRAIN:] - NUM_TRAIN]],
        NUM_CLASSES,
        MODERATE,
    )
    for name, values in vars(scan).items():
        np.testing.assert_allclose(getattr(permuted, name), values, rtol=1e-5, err_msg=name)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), keep_features=st.booleans())
def test_variance_grows_with_noise_from_nothing_to_the_prior(seed, keep_features):
    z = examples.features(1, NUM_TRAIN + NUM_TEST, 10, seed)
    kernel = examples.kernel(z, NUM_TRAIN, keep_features)
    regression = Regression(kernel, TRAIN_TARGETS)
    variances = np.array([regression.variance(diag_reg) for diag_reg in (*DIAG_REGS, 1e9)])
    prior = kernel.test_test_diag
    assert (variances >= 0).all()
    assert (np.diff(variances, axis=0) > -1e-9 * prior).all()
    # Ten features are known after 24 images but for the noise.
    assert (variances[0] < 1e-4 * prior).all()
    np.testing.assert_allclose(variances[-1], prior, rtol=1e-6)
