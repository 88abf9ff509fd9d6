"""Powers of two, by which everything is rescaled exactly, and the logarithms in which it leaves the engine."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import ArrayLike

from gradflow.weights import Weights

dot = partial(jnp.matmul, precision="highest")
LN2 = np.log(2.0)
ZERO_EXPONENT = -(2**28)  # what zero has in place of log2 0 = −∞
Axis = int | tuple[int, ...]


def normalise(x: jax.Array, axis: Axis) -> tuple[jax.Array, jax.Array]:
    """(x / 2^e, e): e is near log2 of the largest entry along `axis`, which is kept; zero stays zero."""
    exponent = shift_of(jnp.abs(x), axis)
    return x * power_of_two(-exponent, x.dtype), exponent


def shift_of(size: jax.Array, axis: Axis) -> jax.Array:
    """The exponent of the largest size along `axis`, which is kept; 2^−exponent is a normal number."""
    least = jnp.finfo(size.dtype).minexp
    return jnp.clip(exponent_of(jnp.max(size, axis=axis, keepdims=True)), least, -least)


def exponent_of(x: jax.Array) -> jax.Array:
    """floor(log2 x) of x ≥ 0, from its bits; 0 for zero."""
    info = jnp.finfo(x.dtype)
    bits = lax.bitcast_convert_type(x, jnp.int32 if info.bits == 32 else jnp.int64)
    return jnp.where(x > 0, (bits >> info.nmant).astype(jnp.int32) + (info.minexp - 1), 0)


def power_of_two(exponent: jax.Array, dtype: np.dtype) -> jax.Array:
    """2^exponent, exactly; zero below the smallest normal number, never more than the largest power of two."""
    info = jnp.finfo(dtype)
    biased = jnp.clip(exponent - info.minexp + 1, 0, info.maxexp - info.minexp)
    bits = biased.astype(jnp.int32 if info.bits == 32 else jnp.int64) << info.nmant
    return lax.bitcast_convert_type(bits, dtype)


def scaled_rows(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The rows of z as (z / 2^e, e); a zero row has `ZERO_EXPONENT`."""
    mantissa, exponent = normalise(z, axis=1)
    return mantissa, jnp.where(jnp.any(z != 0, axis=1, keepdims=True), exponent, ZERO_EXPONENT)


def scaled_array(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x as (x / 2^e, e), one e for all entries; zero has `ZERO_EXPONENT`."""
    mantissa, exponent = scaled_rows(x.reshape(1, -1))
    return mantissa.reshape(x.shape), exponent[0, 0]


def no_shift(size: jax.Array, axis: Axis) -> jax.Array:
    """Takes the place of `shift_of` in plain arithmetic: all exponents are 0."""
    return jnp.zeros(jnp.max(size, axis=axis, keepdims=True).shape, jnp.int32)


def scaled_on_host(x: ArrayLike, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    """x as (x / 2^e, e) on the host, in float64, e along `axis` kept; zero has `ZERO_EXPONENT`."""
    x = np.asarray(x, np.float64)
    size = np.abs(x).max(axis=axis, keepdims=True)
    exponent = np.where(size == 0, ZERO_EXPONENT, np.frexp(size)[1])
    return np.ldexp(x, -exponent), exponent


def logs(mantissa: ArrayLike, exponent: ArrayLike) -> np.ndarray:
    """log(mantissa · 2^exponent) on the host, float64; −inf for zero."""
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(mantissa, np.float64)) + np.asarray(exponent) * LN2


def log_total(norms: np.ndarray) -> np.ndarray:
    """log of the norm of parts that have these log norms along the last axis."""
    if norms.shape[-1] == 1:
        return norms[..., 0]
    largest = norms.max(axis=-1)
    safe = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return safe + np.log(np.sum(np.exp(2 * (norms - safe[..., None])), axis=-1)) / 2


def log_norm(x: ArrayLike) -> np.ndarray:
    """log of the 2-norm along the last axis, on the host, in float64."""
    mantissa, exponent = scaled_on_host(x, axis=-1)
    return logs(np.linalg.norm(mantissa, axis=-1), exponent[..., 0])


def norm_over_fields(weight: str, log_norm: Callable[[str], np.ndarray]) -> np.ndarray:
    """log_norm(field) of one field of `Weights`; of "all" the norm of the four together."""
    if weight != "all":
        return log_norm(weight)
    return log_total(np.stack([log_norm(name) for name in Weights._fields], axis=-1))


def unscaled_norm(weight: str, squares: Callable[[str], np.ndarray]) -> np.ndarray:
    """√ Σ squares(field) [..., gates] in plain arithmetic, of one field of `Weights` or of "all"."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sqrt(sum(squares(name).sum(axis=-1) for name in (Weights._fields if weight == "all" else (weight,))))
