"""Kernels as values: joined, saved, summarised."""

import dataclasses

import numpy as np
import pytest

from nngp_tf.kernels import MonteCarloKernel

pytestmark = pytest.mark.fast

NUM_TRAIN, NUM_TEST, WIDTH = 6, 3, 4


def draw(num_inits, first_init=0, with_features=True):
    """The kernel of random features, those of an initialisation depending on its index only."""
    z = np.stack(
        [
            np.random.default_rng(first_init + m).gamma(1.0, size=(NUM_TRAIN + NUM_TEST, WIDTH))
            for m in range(num_inits)
        ]
    )
    grams = np.einsum("mic,mjc->mij", z, z)
    train = grams[:, :NUM_TRAIN, :NUM_TRAIN]
    return MonteCarloKernel(
        train_train=train.mean(0),
        test_train=grams.mean(0)[NUM_TRAIN:, :NUM_TRAIN],
        test_test_diag=np.diag(grams.mean(0))[NUM_TRAIN:],
        num_inits=num_inits,
        first_init=first_init,
        mean_square_norm=float(np.mean(np.sum(np.square(train), axis=(1, 2)))),
        features=z if with_features else None,
    )


def assert_same(one, two, rtol=0.0):
    for field in dataclasses.fields(MonteCarloKernel):
        got, want = getattr(one, field.name), getattr(two, field.name)
        assert type(got) is type(want), field.name
        if want is not None:
            np.testing.assert_allclose(got, want, rtol=rtol)


def single_kernels(kernel):
    z = kernel.features[:, :NUM_TRAIN]
    return np.einsum("mic,mjc->mij", z, z)


class TestSpread:
    @pytest.mark.parametrize("num_inits", [2, 3, 20])
    def test_is_the_standard_deviation_of_the_single_kernels(self, num_inits):
        kernel = draw(num_inits)
        singles = single_kernels(kernel)
        squares = np.sum(np.square(singles - singles.mean(0)), axis=(1, 2))
        variance = np.sum(squares) / (num_inits - 1)
        expected = np.sqrt(variance) / np.linalg.norm(kernel.train_train)
        np.testing.assert_allclose(kernel.spread, expected, rtol=1e-10)

    def test_of_one_initialisation_is_unknown(self):
        assert np.isnan(draw(1).spread)

    def test_of_equal_kernels_is_nought(self):
        """Rounding may make the variance negative, its root must not be NaN."""
        one = draw(1)
        for shrink in (1.0, 1 - 1e-15):
            kernel = dataclasses.replace(
                one, num_inits=2, mean_square_norm=one.mean_square_norm * shrink
            )
            assert 0 <= kernel.spread < 1e-6

    def test_foretells_the_error(self):
        """Estimates over M initialisations scatter by spread / sqrt(M) about their mean."""
        count = 8
        parts = [draw(count, first_init=count * i) for i in range(60)]
        mean = np.mean([part.train_train for part in parts], axis=0)
        scatter = [np.sum(np.square(part.train_train - mean)) for part in parts]
        error = np.sqrt(np.sum(scatter) / (len(parts) - 1)) / np.linalg.norm(mean)
        foretold = np.mean([part.spread for part in parts]) / np.sqrt(count)
        np.testing.assert_allclose(error, foretold, rtol=0.15)

    def test_of_a_kernel_of_zeros(self):
        """A dead network must not end a run."""
        zeros = {name: 0 * getattr(draw(2), name) for name in ("train_train", "test_train")}
        spread = dataclasses.replace(draw(2), mean_square_norm=0.0, **zeros).spread
        assert np.isnan(spread) or spread == 0


class TestJoin:
    @pytest.mark.parametrize("counts", [(1, 1), (3, 2), (1, 7)])
    def test_equals_one_estimate_over_both(self, counts):
        first, second = draw(counts[0]), draw(counts[1], first_init=counts[0])
        whole = draw(sum(counts))
        assert_same(first.join(second), whole, rtol=1e-12)
        np.testing.assert_allclose(first.join(second).spread, whole.spread, rtol=1e-9)

    def test_is_associative(self):
        one, two, three = draw(2, 5), draw(1, 7), draw(4, 8)
        assert_same(one.join(two).join(three), one.join(two.join(three)), rtol=1e-12)
        assert one.join(two).join(three).first_init == 5

    def test_leaves_its_parts_alone(self):
        first, second = draw(1), draw(2, first_init=1)
        first.join(second)
        assert_same(first, draw(1))
        assert_same(second, draw(2, first_init=1))

    @pytest.mark.parametrize("which", [(True, False), (False, True), (False, False)])
    def test_keeps_features_only_if_both_have_them(self, which):
        joined = draw(1, 0, which[0]).join(draw(1, 1, which[1]))
        assert joined.features is None
        np.testing.assert_allclose(joined.train_train, draw(2).train_train)

    @pytest.mark.parametrize("first_init", [0, 1, 3])
    def test_initialisations_that_do_not_follow(self, first_init):
        message = f"starts at initialisation {first_init}, but this one goes on at 2.*first_init=2"
        with pytest.raises(ValueError, match=message):
            draw(2).join(draw(1, first_init=first_init))

    def test_other_images(self):
        later = draw(1, first_init=2)
        later = dataclasses.replace(later, test_train=later.test_train[:2])
        with pytest.raises(ValueError, match=r"\(2, 6\) and \(3, 6\) test x training images"):
            draw(2).join(later)


class TestFiles:
    @pytest.mark.parametrize("with_features", [True, False])
    def test_loads_what_was_saved(self, tmp_path, with_features):
        kernel = draw(3, 4, with_features)
        # The path is taken as it is: NumPy alone would append .npz.
        path = str(tmp_path / "kernel of a network")
        kernel.save(path)
        loaded = MonteCarloKernel.load(path)
        assert_same(loaded, kernel)
        assert [file.name for file in tmp_path.iterdir()] == ["kernel of a network"]
        # And goes on from there.
        assert_same(loaded.join(draw(1, 7, with_features)), draw(4, 4, with_features), rtol=1e-12)

    def test_without_test_images(self, tmp_path):
        kernel = dataclasses.replace(
            draw(2), test_train=np.zeros((0, NUM_TRAIN)), test_test_diag=np.zeros(0)
        )
        kernel.save(str(tmp_path / "kernel"))
        loaded = MonteCarloKernel.load(str(tmp_path / "kernel"))
        assert loaded.test_train.shape == (0, NUM_TRAIN)

    def test_writes_through_tensorflows_file_systems(self):
        """ram:// stands for gs:// here."""
        kernel = draw(2)
        kernel.save("ram://kernel_test/kernel.npz")
        assert_same(MonteCarloKernel.load("ram://kernel_test/kernel.npz"), kernel)


def test_number_of_training_images():
    assert draw(1).num_train == NUM_TRAIN


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        draw(1).num_inits = 2
