"""Images of every mode become the RGB that a viewer shows."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from nngp_tf.data import images

pytestmark = pytest.mark.fast

RNG = np.random.default_rng(0)
PALETTE = RNG.integers(0, 256, (16, 3), dtype=np.uint8)
INDICES = RNG.integers(0, 16, (8, 6), dtype=np.uint8)
BITS = RNG.integers(0, 2, (8, 6)).astype(bool)
GREY = RNG.integers(0, 256, (8, 6), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (8, 6), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (8, 6, 4)).astype(np.uint16)
RGB = RNG.integers(0, 256, (8, 6, 3), dtype=np.uint8)
# Colours that change little from pixel to pixel, so that JPEG keeps them.
SMOOTH = (10 * np.arange(8)[:, None, None] + 12 * np.arange(6)[:, None] + [0, 40, 90]).astype(
    np.uint8
)


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_palette():
    image = Image.fromarray(INDICES, "P")
    image.putpalette(PALETTE.tobytes())
    return image


def with_alpha(array):
    image = Image.fromarray(array)
    image.putalpha(Image.fromarray(ALPHA))
    return image


def grey(array):
    return np.repeat(array[..., None], 3, axis=-1)


def png(colour_type, samples, *chunks):
    """A PNG of 16 bits a sample, which Pillow does not write for colours."""

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)),
            *(chunk(*content) for content in chunks),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def tiff(bits, photometric, content, width, height):
    """An uncompressed grey TIFF; `photometric` 0 says that zero is white."""
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric)]
    tags += [(273, 0), (277, 1), (278, height), (279, len(content))]
    start = 8 + 2 + 12 * len(tags) + 4
    entries = [struct.pack("<HHII", tag, 4, 1, start if tag == 273 else v) for tag, v in tags]
    head = b"II" + struct.pack("<HI", 42, 8) + struct.pack("<H", len(tags))
    return head + b"".join(entries) + struct.pack("<I", 0) + content


def frames(kind, **options):
    others = [Image.fromarray(255 - RGB)]
    return encode(Image.fromarray(RGB), kind, save_all=True, append_images=others, **options)


def exif(orientation):
    content = Image.Exif()
    content[0x112] = orientation
    return content


def read(tmp_path, content, shape):
    """Returns what `load_images` makes of one file, beside another class of the same size."""
    other = encode(Image.new("RGB", shape[1::-1], (1, 2, 3)), "PNG")
    for name, encoded in (("a", content), ("b", other)):
        (tmp_path / name).mkdir()
        # The content tells the kind, not the suffix.
        (tmp_path / name / "0.png").write_bytes(encoded)
    data = images.load_images(tmp_path, 2, 0, channel_mean=0.0, channel_std=1.0)
    return data.x_train[data.y_train == 0][0]


# What the pixels are, from the arrays of which each file was made.
LOSSLESS = {
    "palette PNG": (encode(with_palette(), "PNG"), PALETTE[INDICES]),
    "palette BMP": (encode(with_palette(), "BMP"), PALETTE[INDICES]),
    "palette GIF": (encode(with_palette(), "GIF"), PALETTE[INDICES]),
    "palette TIFF": (encode(with_palette(), "TIFF"), PALETTE[INDICES]),
    "palette of 4 bits": (encode(with_palette(), "PNG", bits=4), PALETTE[INDICES]),
    "one transparent colour": (encode(with_palette(), "PNG", transparency=3), PALETTE[INDICES]),
    "transparent GIF": (encode(with_palette(), "GIF", transparency=3), PALETTE[INDICES]),
    "alpha of each colour": (
        encode(with_palette(), "PNG", transparency=bytes(range(0, 256, 16))),
        PALETTE[INDICES],
    ),
    "1 bit PNG": (encode(Image.fromarray(BITS), "PNG"), grey(BITS * np.uint8(255))),
    "1 bit BMP": (encode(Image.fromarray(BITS), "BMP"), grey(BITS * np.uint8(255))),
    "1 bit TIFF": (encode(Image.fromarray(BITS), "TIFF"), grey(BITS * np.uint8(255))),
    "1 bit PBM": (encode(Image.fromarray(BITS), "PPM"), grey(BITS * np.uint8(255))),
    "grey PNG": (encode(Image.fromarray(GREY), "PNG"), grey(GREY)),
    "grey BMP": (encode(Image.fromarray(GREY), "BMP"), grey(GREY)),
    "grey and alpha": (encode(with_alpha(GREY), "PNG"), grey(GREY)),
    "RGB PNG": (encode(Image.fromarray(RGB), "PNG"), RGB),
    "RGB BMP": (encode(Image.fromarray(RGB), "BMP"), RGB),
    "RGBA": (encode(with_alpha(RGB), "PNG"), RGB),
    "RGBA TIFF": (encode(with_alpha(RGB), "TIFF"), RGB),
    "16 bit grey PNG": (encode(Image.fromarray(DEEP[..., 0]), "PNG"), grey(DEEP[..., 0] // 256)),
    "16 bit grey TIFF": (encode(Image.fromarray(DEEP[..., 0]), "TIFF"), grey(DEEP[..., 0] // 256)),
    "16 bit grey PGM": (encode(Image.fromarray(DEEP[..., 0]), "PPM"), grey(DEEP[..., 0] // 256)),
    "16 bit RGB": (png(2, DEEP[..., :3]), DEEP[..., :3] // 256),
    "16 bit RGBA": (png(6, DEEP), DEEP[..., :3] // 256),
    "16 bit grey and alpha": (png(4, DEEP[..., :2]), grey(DEEP[..., 0] // 256)),
    "16 bit grey with a transparent one": (
        png(0, DEEP[..., :1], (b"tRNS", b"\0\1")),
        grey(DEEP[..., 0] // 256),
    ),
    "white is zero": (
        tiff(16, 0, DEEP[..., 0].astype("<u2").tobytes(), 6, 8),
        grey(255 - DEEP[..., 0] // 256),
    ),
    "12 bits": (
        tiff(12, 1, bytes([0xFF, 0xF8, 0x00, 0x40, 0x01, 0x00]), 4, 1),
        grey(np.array([[255, 128, 64, 16]])),
    ),
    "first frame of a TIFF": (frames("TIFF"), RGB),
    "first frame of an APNG": (frames("PNG"), RGB),
}


@pytest.mark.parametrize("mode", LOSSLESS)
def test_lossless_images_have_the_pixels_of_which_they_were_made(tmp_path, mode):
    content, expected = LOSSLESS[mode]
    np.testing.assert_array_equal(read(tmp_path, content, expected.shape), expected)


@pytest.mark.skipif(not features.check("webp"), reason="Pillow was built without WebP")
def test_webp(tmp_path):
    for i, content in enumerate(
        (
            encode(Image.fromarray(RGB), "WEBP", lossless=True),
            encode(with_alpha(RGB), "WEBP", lossless=True, exact=True),
            frames("WEBP", lossless=True),
        )
    ):
        (tmp_path / str(i)).mkdir()
        np.testing.assert_array_equal(read(tmp_path / str(i), content, RGB.shape), RGB)


JPEGS = {
    "RGB": encode(Image.fromarray(SMOOTH), "JPEG"),
    "full chroma": encode(Image.fromarray(SMOOTH), "JPEG", subsampling=0),
    "progressive": encode(Image.fromarray(SMOOTH), "JPEG", progressive=True),
    "grey": encode(Image.fromarray(SMOOTH[..., 0]), "JPEG"),
    "CMYK": encode(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG", quality=95),
    "animated GIF": frames("GIF"),
}


@pytest.mark.parametrize("mode", JPEGS)
def test_lossy_images_are_those_of_pillow(tmp_path, mode):
    expected = np.asarray(Image.open(io.BytesIO(JPEGS[mode])).convert("RGB"))
    np.testing.assert_array_equal(read(tmp_path, JPEGS[mode], expected.shape), expected)


def test_cmyk_has_the_colours_of_the_photograph(tmp_path):
    # Adobe's inverted inks read the wrong way round would be its negative.
    assert np.abs(read(tmp_path, JPEGS["CMYK"], SMOOTH.shape) - SMOOTH).max() < 12


# Of an image stored upright: what each orientation of EXIF makes of it.
TURNED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x[::-1].swapaxes(0, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: x.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation(tmp_path, orientation):
    for kind, array in (("PNG", RGB), ("TIFF", RGB), ("PNG", DEEP[..., 0]), ("JPEG", SMOOTH)):
        content = encode(Image.fromarray(array), kind, exif=exif(orientation))
        stored = np.asarray(Image.open(io.BytesIO(content))) if kind == "JPEG" else array
        if stored.dtype == np.uint16:
            stored = grey(stored // 256)
        expected = TURNED[orientation](stored)
        folder = tmp_path / f"{kind}{array.ndim}"
        folder.mkdir()
        np.testing.assert_array_equal(read(folder, content, expected.shape), expected)
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(expected, shown)


def test_damaged_exif_does_no_harm(tmp_path):
    content = encode(Image.fromarray(RGB), "PNG", exif=b"Exif\0\0no such thing")
    np.testing.assert_array_equal(read(tmp_path, content, RGB.shape), RGB)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_numbers_without_a_scale_are_refused(tmp_path, dtype):
    content = encode(Image.fromarray(GREY.astype(dtype)), "TIFF")
    with pytest.raises(ValueError, match=r"a/0\.png does not decode .*32-bit.*8 bits") as error:
        read(tmp_path, content, GREY.shape)
    assert "\n" not in str(error.value)
