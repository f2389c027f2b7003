import pytest
import tensorflow_datasets as tfds

from nngp_tf.data import manual_download

pytestmark = pytest.mark.fast

TRAIN, VALIDATION = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"


def check(name, data_dir):
    builder = tfds.builder(name, data_dir=data_dir)
    assert manual_download.is_manual(builder)
    manual_download.check_files(builder)


def put(data_dir, *names):
    """Makes empty files where TFDS looks for those that a person fetched."""
    folder = data_dir / "downloads" / "manual"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_what_tfds_can_fetch_by_itself(tmp_path):
    for name in ("cifar10", "imagenet_resized/32x32"):
        assert not manual_download.is_manual(tfds.builder(name, data_dir=tmp_path))


@pytest.mark.parametrize(
    "there, missing",
    [
        ((), f"put {TRAIN} and {VALIDATION} "),
        ((TRAIN,), f"put {VALIDATION} "),
        # TFDS would prepare a data set without a training split, and take it for prepared.
        ((VALIDATION,), f"put {TRAIN} "),
    ],
)
def test_missing_archives_of_imagenet(tmp_path, there, missing):
    folder = put(tmp_path, *there)
    with pytest.raises(ValueError, match=missing) as error:
        check("imagenet2012", tmp_path)
    message = str(error.value)
    assert message.startswith(
        f"The TFDS data set 'imagenet2012' is not prepared, looked in {tmp_path}/imagenet2012/"
    )
    assert f"into {folder}, then load it once with download=True." in message
    assert "https://image-net.org/download-images" in message
    assert "\n" not in message


def test_archives_of_imagenet_that_are_there(tmp_path):
    put(tmp_path, TRAIN, VALIDATION)
    check("imagenet2012", tmp_path)


def test_other_data_sets_quote_tfds(tmp_path):
    with pytest.raises(ValueError, match=r"put its files \(TFDS says: .*\) into") as error:
        check("resisc45", tmp_path)
    assert "\n" not in str(error.value)
    put(tmp_path, "NWPU-RESISC45.rar")
    check("resisc45", tmp_path)
