"""The elementwise functions of cells, with derivatives that float32 measures as far down as its range goes."""

import jax
import jax.numpy as jnp

relu = jax.nn.relu


def linear(z):
    """z itself."""
    return z


@jax.custom_jvp
def sigmoid(z):
    """σ(z) with the derivative σ(z) σ(−z), which float32 measures down to |z| = 87, where it becomes zero."""
    return jax.nn.sigmoid(z)


sigmoid.defjvps(lambda dz, out, z: dz * out * jax.nn.sigmoid(-z))


@jax.custom_jvp
def tanh(z):
    """tanh(z) with the derivative sech²(z), which float32 measures down to |z| = 44, where it becomes zero."""
    return jnp.tanh(z)


def _sech2(z):
    decay = jnp.exp(-2 * jnp.abs(z))
    return 4 * decay / (1 + decay) ** 2


tanh.defjvps(lambda dz, out, z: dz * _sech2(z))


def gate_value(z, pin):
    """The value of a sigmoid gate: the pinned one, or σ(z)."""
    return jnp.where(pin.mask, pin.value, sigmoid(z))


def one_minus_gate(z, pin):
    """1 − `gate_value`, without rounding a nearly open gate to open: σ(−z)."""
    return jnp.where(pin.mask, 1 - pin.value, sigmoid(-z))
