"""What is done to each image as it is decoded.

    pixels [H, W, C] -> centre crop -> resize -> (pixels - mean) / std -> dtype

The crop belongs to the rule "mnasnet"; each other step is left out where nothing is given for it.
"""

import dataclasses

import numpy as np
import tensorflow as tf

ImageSize = tuple[int, int]

RULES = ("resize", "mnasnet")
DTYPES = ("float32", "bfloat16", "float16")

# ImageNet's statistics on the raw 0..255 scale, as MnasNet's training and evaluation use them.
MNASNET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
MNASNET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
_CROP_PADDING = 32


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The steps from decoded pixels to the image that is kept.

    Attributes:
      rule: "resize": bilinear to `image_size`, antialiased where it shrinks, aspect ratio not kept.
        "mnasnet": MnasNet's evaluation preprocessing, `mnasnet_centre_crop` and then bilinear
        without antialiasing, sampled from the upper left corner of each pixel as TensorFlow 1 did.
      image_size: Height and width; None leaves the images as they are. "mnasnet" needs a square.
      channel_mean: One value a channel, raw 0..255 scale; None leaves standardisation to others.
      channel_std: One value a channel, raw 0..255 scale; given if `channel_mean` is.
      dtype: "float32", "bfloat16" or "float16", what the image is rounded to at the end.
    """

    rule: str = "resize"
    image_size: ImageSize | None = None
    channel_mean: tuple[float, ...] | None = None
    channel_std: tuple[float, ...] | None = None
    dtype: str = "float32"

    @property
    def standardises(self) -> bool:
        """Whether the images come out standardised, rather than on the raw 0..255 scale."""
        return self.channel_mean is not None

    def __call__(self, pixels: tf.Tensor) -> tf.Tensor:
        """Apply the steps to one image [H, W, C], raw 0..255 scale; runs inside a pipeline."""
        if self.rule == "mnasnet":
            pixels = _resize_from_corners(
                mnasnet_centre_crop(pixels, self.image_size[0]), self.image_size
            )
        elif self.image_size is not None:
            pixels = tf.image.resize(pixels, self.image_size, method="bilinear", antialias=True)
        pixels = tf.cast(pixels, tf.float32)
        if self.standardises:
            pixels = (pixels - self.channel_mean) / self.channel_std
        return tf.cast(pixels, self.dtype)


def check_arguments(rule: str, image_size: ImageSize | None, dtype: str) -> None:
    """Raise unless the arguments of a `Preprocessing` of the same names fit each other.

    Raises:
      ValueError: If `rule` or `dtype` is unknown, or "mnasnet" is given no square size.
    """
    for name, value, known in (("preprocessing", rule, RULES), ("dtype", dtype, DTYPES)):
        if value not in known:
            raise ValueError(f"{name}={value!r}, expected one of {known}: choose one of them.")
    if rule != "mnasnet":
        return
    if image_size is None or image_size[0] != image_size[1]:
        raise ValueError(
            f"preprocessing='mnasnet' crops a square, got image_size={image_size!r}: "
            "give one integer, 224 for the published networks."
        )


def check_channels(rule: str, channels: int) -> None:
    """Raise ValueError unless images of `channels` channels fit the rule of a `Preprocessing`."""
    if rule == "mnasnet" and channels != 3:
        raise ValueError(
            f"preprocessing='mnasnet' is for RGB images, but these have {channels} channels: "
            "use preprocessing='resize'."
        )


def mnasnet_centre_crop(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """Return the central square of an image whose side is min(H, W) size / (size + 32).

    At a size of 224 that is the central 224 of an image whose shorter side has 256 pixels.

    Args:
      pixels: [H, W, C].
      size: The side to which the square will be resized.

    Returns:
      [S, S, C], S rounded down and at least 1; of an odd margin the larger half is cut off above
      and to the left.
    """
    shape = tf.shape(pixels)
    shorter = tf.cast(tf.minimum(shape[0], shape[1]), tf.float32)
    # The product in float32, since it is what the original rounds down.
    side = tf.maximum(tf.cast(shorter * (size / (size + _CROP_PADDING)), tf.int32), 1)
    top = (shape[0] - side + 1) // 2
    left = (shape[1] - side + 1) // 2
    return pixels[top : top + side, left : left + side]


def _resize_from_corners(pixels: tf.Tensor, size: ImageSize) -> tf.Tensor:
    """Resize [H, W, C] as `tf.compat.v1.image.resize` does, float32."""
    return tf.raw_ops.ResizeBilinear(
        images=pixels[None], size=size, align_corners=False, half_pixel_centers=False
    )[0]


def to_dtype(images: np.ndarray, dtype: str) -> np.ndarray:
    """Return `images` [N, H, W, C] rounded to `dtype`; the same array where it has it already."""
    return images.astype(tf.as_dtype(dtype).as_numpy_dtype, copy=False)
