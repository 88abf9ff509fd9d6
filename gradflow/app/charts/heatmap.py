"""The map t × u and the gate strips as images: palette PNGs, drawn in a thousandth of the time of as many marks."""

from functools import cache

import numpy as np

from gradflow.app.charts.base import Domain
from gradflow.app.measurement import Measurement
from gradflow.app.palette import BLUE, GREY, ORANGE, RED, palette, png_url, ramp

COLOURS = 60  # palette entries from low to high, before those of the states; few, so that the image is small
BLANK, ZERO, FLUSHED, BROKEN = range(COLOURS, COLOURS + 4)
STRIP = 36  # pixels a strip, of which the gate fills up to four fifths
STATES = {BLANK: (GREY, 0), ZERO: (GREY, 110), FLUSHED: (ORANGE, 255), BROKEN: (RED, 255)}  # colour, opacity


def map_pixels(measurement: Measurement, domain: Domain, steps: int | None = None) -> np.ndarray:
    """Palette indices u8[steps, steps] at [t, u]: 0…59 from low to high, or `BLANK`, `ZERO`, `FLUSHED`, `BROKEN`.

    Without `steps` as many as the horizon T; what lies beyond T is blank.
    """
    return pixels_of(measurement.log_terms, domain, measurement.underflow, steps)


def pixels_of(
    log_terms: np.ndarray, domain: Domain, underflow: int | None = None, steps: int | None = None
) -> np.ndarray:
    """The same of any natural logs at [t, u]."""
    low, high = domain
    log10 = log_terms / np.log(10)
    t, u = np.indices(log10.shape)
    shade = np.clip((log10 - low) / (high - low), 0, 1) * (COLOURS - 1)
    pixels = np.where(np.isfinite(log10), shade, ZERO).round().astype(np.uint8)
    pixels[(log10 == -np.inf) & flushed(t - u, underflow)] = FLUSHED
    pixels[np.isnan(log10)] = BROKEN
    pixels[u > t] = BLANK
    return np.pad(pixels, (0, (steps or len(t)) - len(t)), constant_values=BLANK)


def map_url(measurement: Measurement, domain: Domain, steps: int | None = None) -> str:
    """The map as the data URL of an 8-bit palette PNG: time downwards, lag to the right."""
    return png_url(map_pixels(measurement, domain, steps), _map_palette())


def url_of(log_terms: np.ndarray, domain: Domain) -> str:
    """A map of any natural logs at [t, u], as `map_url`."""
    return png_url(pixels_of(log_terms, domain), _map_palette())


def strip_pixels(gates: dict[str, np.ndarray], t: int, steps: int, strips: int) -> np.ndarray:
    """How open each gate is at step t−u, a bar on its strip's floor: u8[strips · STRIP, steps], 1 where drawn."""
    pixels = np.zeros((strips, STRIP, steps), np.uint8)
    floor = round(0.9 * STRIP)
    for strip, gate in zip(pixels, gates.values(), strict=False):
        height = np.round(0.8 * STRIP * gate[t::-1])
        above = floor - np.arange(STRIP)[:, None]  # pixels from the floor to the upper edge of each row
        strip[:, : t + 1] = (above > 0) & (above <= height)
    return pixels.reshape(-1, steps)


def strips_url(gates: dict[str, np.ndarray], t: int, steps: int, strips: int) -> str:
    """The strips as the data URL of a PNG; a column a lag."""
    return png_url(strip_pixels(gates, t, steps, strips), _STRIP_PALETTE)


_STRIP_PALETTE = palette([BLUE, BLUE], [0, 190])


@cache
def _map_palette():
    colours, opacities = zip(*STATES.values(), strict=True)
    return palette([*ramp(COLOURS), *colours], [255] * COLOURS + [*opacities])


def flushed(step: np.ndarray, underflow: int | None) -> np.ndarray:
    """Whether a zero at this step stems from a state that the float range flushed to zero."""
    return np.full_like(step, False, bool) if underflow is None else step >= underflow
