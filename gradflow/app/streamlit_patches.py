"""What Streamlit is told otherwise, once a process: no change is left half done, small messages leave at once."""

import contextlib
import os
import socket
from functools import cache
from pathlib import Path

import streamlit
from streamlit.runtime.state.safe_session_state import SafeSessionState

STATIC = Path(streamlit.__file__).parent / "static" / "static" / "js"


def patch_yield_points() -> None:
    """Let a run be broken off for the next one only where it sends something, not wherever it looks at its state.

    Streamlit 1.67 does so at each access to the session's state: before the callbacks, where the click that the run was
    for is lost, and in the middle of one, which leaves a change half done.
    """
    begin = SafeSessionState.__init__
    patched = lambda self, state, yield_callback: begin(self, state, lambda: None)
    SafeSessionState.__init__ = patched  # type: ignore[method-assign]


@cache
def vega_module() -> str:
    """The module of Streamlit's own code that loads Vega: it exports one function, () -> promise of {embed}.

    Raises:
        RuntimeError: this Streamlit has none, or several.
    """
    found = [path.name for path in STATIC.glob("loadVegaEmbed.*.js")]
    if len(found) != 1:
        raise RuntimeError(f"Streamlit {streamlit.__version__} has {len(found)} modules that load Vega; 1.67 has one")
    return found[0]


def disable_nagle() -> None:
    """Switch Nagle's algorithm off on every TCP socket of this process; connections to come inherit it.

    Streamlit 1.67 binds its socket without naming the protocol, and asyncio switches the algorithm off only where it
    is named. A step of the page is some small messages in a row: each but the first then waits for the browser's
    delayed acknowledgement, 40 ms.
    """
    files = os.listdir("/dev/fd") if os.path.isdir("/dev/fd") else ()  # Windows has no such list
    for number in files:
        with contextlib.suppress(OSError):  # no socket, or closed meanwhile
            each = socket.socket(fileno=int(number))
            try:
                if each.family in (socket.AF_INET, socket.AF_INET6) and each.type == socket.SOCK_STREAM:
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            finally:
                each.detach()  # it stays its owner's
