"""What JAX computes on."""

import jax

from gradflow.caching import threadsafe_cache


@threadsafe_cache
def select_device() -> tuple[str, str | None]:
    """Settle, once per process, what JAX computes on.

    Returns:
        (description, notice): for example ("CPU", None). Where the accelerator asked for by `JAX_PLATFORMS` is
        missing, JAX falls back to the CPU and the notice says so.
    """
    notice = None
    try:
        device = jax.devices()[0]
    except (RuntimeError, AssertionError):  # JAX raises one or the other, by platform
        asked = jax.config.jax_platforms  # type: ignore[attr-defined]
        notice = f"There is no {asked} device here: gradflow computes on the CPU."
        jax.config.update("jax_platforms", "cpu")
        device = jax.devices()[0]
    kind = device.platform.upper()
    return kind if kind == "CPU" else f"{kind} ({device.device_kind})", notice
