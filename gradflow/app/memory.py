"""What the process holds: garbage, what malloc keeps, compiled code. The smallest public host has 690 MB."""

import contextlib
import ctypes
import gc
from pathlib import Path

M_ARENA_MAX = -8  # malloc.h
ROOM = 450  # MB; measuring what a lesson rests on takes up to 250 more, most of it compiled code


def resident(pid: int | str = "self", field: str = "VmRSS") -> float:
    """MB of a process, as Linux counts it: what it holds, or with "VmHWM" the most it has held.

    Raises:
        OSError: there is no such process, or this is no Linux.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6


def make_room() -> None:
    """Give up all compiled code where the process holds more than `ROOM`; it comes again from the disk."""
    try:
        held = resident()
    except OSError:  # the system does not say
        return
    if held > ROOM:
        from gradflow.engine.compile_cache import forget_compiled

        forget_compiled()
        freeze_garbage()


def freeze_garbage() -> None:
    """Collect all garbage; what is left is not looked at again until the next time."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    release_memory()


def limit_malloc_arenas() -> None:
    """Let all threads share two pools of memory, not eight a core: what is free in them is used again (glibc)."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def release_memory() -> None:
    """Give memory that compiling took and left free back to the system, where the C library can (glibc)."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
