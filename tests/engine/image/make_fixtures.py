#!/usr/bin/python3
"""Writes the pictures in data/ and what decoding and resizing them must give.

Run once with Debian 12's python3-pil 9.4 and python3-numpy; the results are
checked in, so tests need neither. Each PICTURE.jpg or .png has its expected
pixels beside it as PICTURE.ppm (three channels) or PICTURE.pgm (one channel).
JPEG, palette and 8-bit PNG expectations are Pillow's decoding; Pillow has no
16-bit colour, so those come from the numbers that were written.
resize_HxW.ppm is Pillow's Image.resize((W, H), BILINEAR) of resize_source.ppm.
"""

import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

DATA = pathlib.Path(__file__).parent / "data"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
# Row start, row step, column start, column step of Adam7's passes.
ADAM7 = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4),
         (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]


def picture(height, width, channels=3):
    """A slanted gradient with a bright corner: no symmetry, some edges."""
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    value = 255 * (2 * x + 3 * y + 5 * c) // (2 * width + 3 * height + 10)
    value = np.where((x < width // 3) & (y < height // 4), 250 - 40 * c, value)
    return value.astype(np.uint8)


def expect(name, pixels):
    pixels = np.asarray(pixels, np.uint8)
    grey = pixels.ndim == 2 or pixels.shape[2] == 1
    head = f"P{5 if grey else 6}\n{pixels.shape[1]} {pixels.shape[0]}\n255\n"
    suffix = ".pgm" if grey else ".ppm"
    (DATA / (name + suffix)).write_bytes(head.encode() + pixels.tobytes())


def jpeg(name, image, **options):
    path = DATA / (name + ".jpg")
    image.save(path, "JPEG", **options)
    decoded = ImageOps.exif_transpose(Image.open(path))
    expect(name, decoded if decoded.mode == "L" else decoded.convert("RGB"))


def chunk(kind, body):
    return (struct.pack(">I", len(body)) + kind + body +
            struct.pack(">I", zlib.crc32(kind + body)))


def rows(samples, depth):
    """Filter byte 0 and packed samples of each row."""
    out = b""
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        elif depth == 8:
            packed = row.astype(np.uint8).tobytes()
        else:
            shifts = range(depth - 1, -1, -1)
            bits = np.stack([row >> s & 1 for s in shifts], 1).reshape(-1)
            packed = np.packbits(bits.astype(np.uint8)).tobytes()
        out += b"\0" + packed
    return out


def png(name, samples, color, depth, interlace=False, extra=()):
    height, width = samples.shape[:2]
    if interlace:
        parts = [samples[a::b, c::d] for a, b, c, d in ADAM7]
        raw = b"".join(rows(p, depth) for p in parts if p.size)
    else:
        raw = rows(samples, depth)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0,
                         int(interlace))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    for kind, body in extra:
        data += chunk(kind, body)
    data += chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    (DATA / (name + ".png")).write_bytes(data)


def pillow_png(name, *args, **options):
    png(name, *args, **options)
    expect(name, Image.open(DATA / (name + ".png")).convert("RGB"))


def exif(orientation, order="<"):
    mark = b"II" if order == "<" else b"MM"
    return (mark + struct.pack(order + "HIH", 42, 8, 2) +
            struct.pack(order + "HHII", 0x010E, 2, 4, 0x41424300) +
            struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0) +
            struct.pack(order + "I", 0))


def jpegs():
    color = Image.fromarray(picture(12, 20))
    for orientation in range(1, 9):
        order = "<" if orientation % 2 else ">"
        jpeg(f"orientation_{orientation}", color, quality=85, subsampling=0,
             exif=b"Exif\0\0" + exif(orientation, order))
    jpeg("subsampled", color, quality=75, subsampling=2)
    jpeg("progressive", color, quality=85, progressive=True)
    jpeg("grey", Image.fromarray(picture(12, 20, 1)[:, :, 0]), quality=85)
    jpeg("cmyk", Image.fromarray(picture(12, 20, 4), "CMYK"), quality=85)


def pngs():
    color = picture(11, 19)
    pillow_png("rgb", color, RGB, 8)
    pillow_png("rgb_interlaced", color, RGB, 8, interlace=True)
    for depth in (1, 2, 4, 8):
        top = (1 << depth) - 1
        index = (picture(11, 19, 1)[:, :, 0].astype(int) * top + 127) // 255
        pillow_png(f"grey_{depth}", index, GREY, depth)
        ramp = np.arange(top + 1)
        palette = np.stack([ramp * 255 // top, 255 - ramp * 200 // top,
                            ramp * 7 % 256], 1).astype(np.uint8)
        pillow_png(f"palette_{depth}", index, PALETTE, depth,
                   interlace=depth == 4, extra=[(b"PLTE", palette.tobytes())])
    # Blended on black: value * alpha / 255, to the nearest.
    alpha = picture(11, 19, 1)[:, ::-1]
    blended = (color.astype(int) * alpha + 127) // 255
    png("rgba", np.concatenate([color, alpha], 2), RGBA, 8)
    expect("rgba", blended)
    png("grey_alpha", np.concatenate([color[:, :, :1], alpha], 2), GREY_ALPHA,
        8)
    expect("grey_alpha", blended[:, :, [0, 0, 0]])
    # tRNS of a palette: entries beyond it are opaque.
    index = (picture(11, 19, 1)[:, :, 0].astype(int) * 3 + 127) // 255
    palette = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 8, 7]])
    png("palette_trns", index, PALETTE, 2,
        extra=[(b"PLTE", palette.astype(np.uint8).tobytes()),
               (b"tRNS", bytes([0, 128]))])
    opacity = np.array([0, 128, 255, 255])[index][:, :, None]
    expect("palette_trns", (palette[index] * opacity + 127) // 255)
    # tRNS of a grey picture: one value is transparent.
    grey = picture(11, 19, 1)[:, :, 0]
    png("grey_trns", grey, GREY, 8,
        extra=[(b"tRNS", struct.pack(">H", int(grey[0, 0])))])
    expect("grey_trns", np.where(grey == grey[0, 0], 0, grey)[:, :, None] *
           np.ones(3, int))
    # 16 bits: the lower byte is noise that must not matter.
    wide = color.astype(int) * 256 + (color.astype(int) * 37 + 11) % 256
    png("rgb_16", wide, RGB, 16)
    expect("rgb_16", color)
    png("rgb_16_interlaced", wide, RGB, 16, interlace=True)
    expect("rgb_16_interlaced", color)
    png("grey_16", wide[:, :, :1], GREY, 16)
    expect("grey_16", color[:, :, [0, 0, 0]])
    wide_alpha = alpha.astype(int) * 256 + (alpha.astype(int) * 53 + 5) % 256
    png("rgba_16", np.concatenate([wide, wide_alpha], 2), RGBA, 16)
    expect("rgba_16", blended)
    png("grey_alpha_16", np.concatenate([wide[:, :, :1], wide_alpha], 2),
        GREY_ALPHA, 16, interlace=True)
    expect("grey_alpha_16", blended[:, :, [0, 0, 0]])
    png("exif_6", color, RGB, 8, extra=[(b"eXIf", exif(6, ">"))])
    expect("exif_6", np.rot90(color, -1))
    # One channel asked for: Pillow's "L".
    png("to_grey", color, RGB, 8)
    expect("to_grey", Image.fromarray(color).convert("L"))


def resizes():
    source = picture(23, 37).astype(int)
    noise = np.random.default_rng(1).integers(-60, 61, source.shape)
    source = np.clip(source + noise, 0, 255).astype(np.uint8)
    expect("resize_source", source)
    for height, width in [(28, 28), (8, 8), (50, 64), (1, 1), (10, 37),
                          (23, 9), (40, 5), (3, 90), (22, 36), (24, 38)]:
        resized = Image.fromarray(source).resize((width, height),
                                                 Image.Resampling.BILINEAR)
        expect(f"resize_{height}x{width}", resized)


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    jpegs()
    pngs()
    resizes()
