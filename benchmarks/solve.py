"""The scan of 20 regularisers, against solving anew for each one.

python -m benchmarks.solve [--num_train=500,1000,2000,4000] [--json=solve.json]

Kernels of random ReLU features, half as many test as training images, 10 classes:

    ours, kernel space     `scan_diag_reg` on the N x N matrix
    ours, feature space    `scan_diag_reg` with the features of M initialisations, where M x C < N
    scipy                  20 times `scipy.linalg.solve(..., assume_a="pos")` and the means of the
                           test images: the authors' notebook
    scikit-learn           20 times `GaussianProcessRegressor` on the precomputed kernel

The peers give test accuracies alone; the scan adds leave-one-out, densities and the marginal
likelihood. The features' time for the ratio is that of one batch through the program of the cell
with the median size, times N / batch x M; weights drawn and calibrated before.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import tensorflow as tf
from absl import app, flags
from sklearn.gaussian_process import GaussianProcessRegressor, kernels

from benchmarks import networks, timing
from nngp_tf.data.labels import centred_one_hot
from nngp_tf.gaussian_process import DIAG_REGS, scan_diag_reg
from nngp_tf.kernels import precision
from nngp_tf.kernels.kernel import MonteCarloKernel
from nngp_tf.models import Nasbench101Network

_NUM_TRAIN = flags.DEFINE_list("num_train", "500,1000,2000,4000", "Counts of images, N.")
_FEATURE_INITS = flags.DEFINE_integer("feature_inits", 1, "M of the feature space.")
_WIDTH = flags.DEFINE_integer("width", 512, "C, the width of the features.")
_NUM_INITS = flags.DEFINE_integer("num_inits", 8, "M of the kernel space, and of the ratio.")
_PEERS = flags.DEFINE_bool("peers", True, "Whether SciPy and scikit-learn run.")
_BATCH = flags.DEFINE_integer("batch", 100, "Images in the batch of features; 0 to leave out.")
_STEM_FILTERS = flags.DEFINE_integer("stem_filters", 128, "Width of its network.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 32, "Height and width of its images.")

NUM_CLASSES = 10


def main(argv):
    """Run the benchmark."""
    del argv
    dtype = precision.default_compute_dtype()
    features_call = _features_call(dtype) if _BATCH.value else None
    rows, share, notes = [], None, []
    for num_train in map(int, _NUM_TRAIN.value):
        calls, accuracies = _contestants(num_train)
        for call in calls.values():
            call()
        _check(accuracies, num_train, notes)
        if features_call:
            calls["features"] = features_call
        taken = timing.turns(calls, timing.REPEATS.value)
        ours = taken["ours, kernel space"]
        times = num_train / _BATCH.value * _NUM_INITS.value if _BATCH.value else None
        features = [seconds * times for seconds in taken.pop("features", [])]
        for name, seconds in taken.items():
            ratio = timing.ratio(seconds, features) if features else None
            rows.append(
                {
                    "N": num_train,
                    "": name,
                    "seconds": timing.summary(seconds),
                    "seconds / ours": timing.ratio(seconds, ours),
                    "seconds / features": ratio,
                }
            )
        print(timing.table(rows[-len(taken) :]), flush=True)
        if features and num_train == 4000:
            share = timing.ratio(ours, features)["median"]
    timing.report(
        "solve",
        {
            "repeats": timing.REPEATS.value,
            "images": ",".join(_NUM_TRAIN.value),
            "initialisations": _NUM_INITS.value,
            "in feature space": _FEATURE_INITS.value,
            "width": _WIDTH.value,
            "regularisers": len(DIAG_REGS),
            "features' dtype": dtype,
        },
        {"Solve": rows},
        [timing.target("share of the features' time, N = 4000", share, 0.2, False)],
        notes,
    )


def _contestants(num_train):
    """Return the calls, and where each leaves its test accuracies [regularisers]."""
    num_test = num_train // 2
    rng = np.random.default_rng(num_train)
    train_labels, test_labels = (rng.integers(NUM_CLASSES, size=n) for n in (num_train, num_test))
    accuracies = {}

    def scan(name, kernel):
        def call():
            scanned = scan_diag_reg(kernel, train_labels, test_labels, NUM_CLASSES)
            accuracies[name] = scanned.test_accuracy

        return call

    kernel = _kernel(num_train, num_test, _NUM_INITS.value, keep_features=False)
    calls = {"ours, kernel space": scan("ours, kernel space", kernel)}
    if _FEATURE_INITS.value * _WIDTH.value < num_train:
        low_rank = _kernel(num_train, num_test, _FEATURE_INITS.value, keep_features=True)
        calls["ours, feature space"] = scan("ours, feature space", low_rank)
    if not _PEERS.value:
        return calls, accuracies

    targets = centred_one_hot(train_labels, NUM_CLASSES)
    noises = DIAG_REGS * np.trace(kernel.train_train) / num_train

    def accuracy(mean):
        return np.mean(np.argmax(mean, axis=1) == test_labels)

    def scipy_solves():
        found = []
        for noise in noises:
            regularised = kernel.train_train + noise * np.eye(num_train)
            weights = scipy.linalg.solve(regularised, targets, assume_a="pos")
            found.append(accuracy(kernel.test_train @ weights))
        accuracies["scipy"] = found

    def sklearn_fits():
        found = []
        for noise in noises:
            regressor = GaussianProcessRegressor(_Precomputed(), alpha=noise, optimizer=None)
            regressor.fit(kernel.train_train, targets)
            found.append(accuracy(regressor.predict(kernel.test_train)))
        accuracies["scikit-learn"] = found

    return calls | {"scipy": scipy_solves, "scikit-learn": sklearn_fits}, accuracies


def _kernel(num_train, num_test, num_inits, keep_features):
    rng = np.random.default_rng(num_inits)
    images = rng.normal(size=(num_train + num_test, 64))
    weights = rng.normal(size=(num_inits, 64, _WIDTH.value)) / 8.0
    features = np.maximum(images @ weights, 0.0)
    stacked = np.concatenate(list(features), axis=1)
    train, test = stacked[:num_train], stacked[num_train:]
    train_train = train @ train.T / num_inits
    return MonteCarloKernel(
        train_train=train_train,
        test_train=test @ train.T / num_inits,
        test_test_diag=np.sum(np.square(test), axis=1) / num_inits,
        num_inits=num_inits,
        first_init=0,
        mean_square_norm=float(np.sum(np.square(train_train))),
        features=features.astype(np.float32) if keep_features else None,
    )


class _Precomputed(kernels.Kernel):
    """Hands scikit-learn the matrix that stands where it expects points."""

    def __init__(self):
        # It wants a signature without variable arguments.
        pass

    def __call__(self, X, Y=None, eval_gradient=False):
        del Y, eval_gradient
        return np.array(X)

    def diag(self, X):
        """Return the diagonal."""
        return np.diag(X)

    def is_stationary(self):
        """Return that it is not."""
        return False


def _check(accuracies, num_train, notes):
    """Note where a peer's accuracies differ by more than one image at some regulariser."""
    ours = accuracies["ours, kernel space"]
    for peer in ("scipy", "scikit-learn"):
        if peer in accuracies:
            difference = np.nanmax(np.abs(np.asarray(accuracies[peer]) - ours)) * (num_train // 2)
            if difference > 1.5:
                notes.append(f"N = {num_train}: {peer} differs in {difference:.0f} test images")


def _features_call(dtype):
    """Return the call that runs one batch."""
    cells, _ = networks.quantile_cells(timing.SHARED_DATA.value)
    shape = (_IMAGE_SIZE.value, _IMAGE_SIZE.value, 3)
    network = Nasbench101Network(cells[4], shape, stem_filters=_STEM_FILTERS.value)
    program = networks.Program(network, dtype)
    images = tf.random.stateless_normal([_BATCH.value, *shape], [0, 0])
    drawn = program.initialise(images)

    def call():
        return program.features(drawn, images).numpy()

    call()
    return call


if __name__ == "__main__":
    app.run(main)
