"""What is computed once, by whoever comes first, while the others wait; and the book of what is compiled."""

from collections.abc import Callable
from functools import cache, wraps
from threading import RLock
from typing import TypeVar

Result = TypeVar("Result")

# What this process has compiled: kinds of block (`engine.schedule`) and of scenario (`app.measurement`); emptied by
# `engine.compile_cache.forget_compiled`, which gives up all of it.
COMPILED: set[tuple] = set()


def threadsafe_cache(function: Callable[..., Result]) -> Callable[..., Result]:
    """`functools.cache` for many threads: the same arguments are never computed by two of them.

    Every result is kept, so the arguments must be few; they are positional and hashable.
    """
    kept, locks = cache(function), dict[tuple, RLock]()

    @wraps(function)
    def first(*arguments):
        with locks.setdefault(arguments, RLock()):
            return kept(*arguments)

    return first
