"""Compiled code that outlives the process, so that the next one starts in a fraction of the time."""

import logging
import os
import tempfile
from pathlib import Path

import jax

from gradflow.caching import COMPILED, threadsafe_cache
from gradflow.engine.traces import keep_traces

ROOM = 2**20  # bytes that must be free: what all cells of one size take


@threadsafe_cache
def keep_compiled() -> Path | None:
    """Keep what JAX traces and compiles in the user's cache folder, or where `JAX_COMPILATION_CACHE_DIR` says.

    Where that cannot be written, nothing is kept: everything works, and each process compiles anew. To be called
    before the first compilation.

    Returns:
        the folder, or None.
    """
    chosen = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    folder = Path(chosen or _cache_home() / "gradflow")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what lies here is executed, so others must not write
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM))
    except OSError as reason:
        logging.getLogger("gradflow").warning("Compiled code is not kept: %s", reason)
        jax.config.update("jax_enable_compilation_cache", False)
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    keep_traces(folder / "traced")
    return folder


def forget_compiled() -> None:
    """Give up all compiled code of this process; what is asked for again comes from the folder, or is compiled."""
    jax.clear_caches()
    COMPILED.clear()


def _cache_home():
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
