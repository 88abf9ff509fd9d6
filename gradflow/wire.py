"""The server's sockets: small messages leave at once."""

import contextlib
import os
import socket


def send_at_once():
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
