"""Colours that the page and the charts of a notebook share, the labels of a decade, and images of few colours."""

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np

BLUE, ORANGE, GREY, RED, GREEN = "#3d8bd9", "#e8710a", "#8a8f98", "#e0455e", "#2f9e62"
PURPLE = "#a35bd0"
VIRIDIS = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725")
_DIGITS = "'⁰¹²³⁴⁵⁶⁷⁸⁹'"
POWER = (  # a Vega expression: a whole exponent as 10⁻²⁰
    "datum.value == 0 ? '1' : '10' + (datum.value < 0 ? '⁻' : '')"
    f" + (abs(datum.value) > 99 ? {_DIGITS}[floor(abs(datum.value) / 100)] : '')"
    f" + (abs(datum.value) > 9 ? {_DIGITS}[floor(abs(datum.value) / 10) % 10] : '')"
    f" + {_DIGITS}[abs(datum.value) % 10]"
)


def ramp(count: int) -> list[str]:
    """So many colours of viridis, from low to high."""
    stops = np.array([list(_rgb(colour)) for colour in VIRIDIS])
    at = np.linspace(0, len(stops) - 1, count)
    channels = np.stack([np.interp(at, np.arange(len(stops)), channel) for channel in stops.T], axis=1)
    return [f"#{bytes(each).hex()}" for each in channels.round().astype(np.uint8)]


def palette(colours: Sequence[str], opacities: Sequence[int]) -> bytes:
    """The two chunks of a PNG that say what each index is: colours, and opacities in 0 … 255."""
    return _chunk(b"PLTE", b"".join(map(_rgb, colours))) + _chunk(b"tRNS", bytes(opacities))


def png_url(pixels: np.ndarray, palette: bytes, level: int = 1) -> str:
    """Palette indices u8[height, width] as the data URL of a PNG; level: how hard it is packed, 1 to 9.

    Source: W3C, PNG Specification (Third Edition), 5.2, 11.2 and 11.3.
    """
    height, width = pixels.shape
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
    lines = np.zeros((height, width + 1), np.uint8)  # each begins with the number of its filter: none
    lines[:, 1:] = pixels
    data = _chunk(b"IDAT", zlib.compress(lines.tobytes(), level))
    image = b"\x89PNG\r\n\x1a\n" + header + palette + data + _chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(image).decode()


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _rgb(colour):
    return bytes.fromhex(colour[1:])
