"""Image files by Pillow: which are read, and their pixels as the RGB that a viewer shows."""

import io
import mimetypes
import os
import warnings
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageOps

# What Pillow names without decoding it, or decodes by another program (EPS by Ghostscript).
_NOT_DECODED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
# Images that neither Pillow nor Python's own list of kinds knows.
_OTHER_IMAGES = frozenset(
    f".{suffix}"
    for suffixes in (
        ("ai", "exr", "hdr", "hif", "jxl", "jxr", "psb", "svgz", "wdp", "xcf"),
        ("3fr", "arw", "cr2", "cr3", "crw", "dng", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2"),
        ("dcm", "dicom", "mat", "nii", "npy", "npz"),
    )
    for suffix in suffixes
)
# TIFF's tags for the bits of a sample and for what zero means.
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262

# Large images are welcome; what is twice as large as this warning's limit Pillow still refuses.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def sort_names(names: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    """Return the sorted names of images that are read, of other images, and of other files.

    A suffix tells, in small or capital letters: an image is read where Pillow decodes its kind.
    Hidden files are left out.
    """
    formats = _formats()
    registered = Image.registered_extensions()
    read = {suffix for suffix, kind in registered.items() if kind in formats}
    kinds = mimetypes.MimeTypes(filenames=()).types_map[True]
    images = _OTHER_IMAGES.union(registered, (s for s in kinds if kinds[s].startswith("image/")))
    sorted_names = ([], [], [])
    for name in sorted(names):
        if not name.startswith("."):
            suffix = os.path.splitext(name)[1].lower()
            sorted_names[0 if suffix in read else 1 if suffix in images else 2].append(name)
    return sorted_names


def decode(content: bytes) -> np.ndarray:
    """Return the pixels of an encoded image as a viewer shows them.

    Its kind is told by the content. Palettes, grey, CMYK and the like become RGB, and the
    orientation of its EXIF data is applied. Of 16 bits the upper eight are kept, transparency and
    colour profiles are dropped, and of an animation or several pages the first is taken.

    Args:
      content: The file's bytes.

    Returns:
      [H, W, 3], uint8.

    Raises:
      ValueError: If it does not decode, or its pixels are numbers without a scale; gives the
        reason in a few words.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            image.load()
            return _to_rgb(image)
    except Image.UnidentifiedImageError as error:
        raise ValueError("its content is of no kind of image that is read") from error
    except MemoryError:
        raise
    # A damaged file makes Pillow raise nearly anything, SyntaxError and struct.error included.
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _formats() -> list[str]:
    """Return the kinds that are read, plug-ins of Pillow's that a user has registered included."""
    named = set(Image.registered_extensions().values())
    return [kind for kind in Image.OPEN if kind in named - _NOT_DECODED]


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Return a loaded image as [H, W, 3], uint8."""
    tags = getattr(image, "tag_v2", {})
    try:
        turned = ImageOps.exif_transpose(image)
    except Exception:  # Damaged EXIF data: a viewer shows the image as it is stored.
        turned = image
    if turned.mode.startswith("I;16") or (turned.mode == "I" and image.format in ("PNG", "PPM")):
        grey = np.asarray(turned)
        grey = (grey >> (tags.get(_BITS_PER_SAMPLE, (16,))[0] - 8)).astype(np.uint8)
        if tags.get(_PHOTOMETRIC) == 0:
            grey = 255 - grey
        return np.repeat(grey[..., None], 3, axis=-1)
    if turned.mode in ("I", "F"):
        kind = "integers" if turned.mode == "I" else "floating point numbers"
        raise ValueError(f"its pixels are 32-bit {kind} without a scale, convert it to 8 bits")
    if turned.mode in ("P", "PA"):
        turned = turned.convert("RGBA")
    return np.asarray(turned.convert("RGB"))
