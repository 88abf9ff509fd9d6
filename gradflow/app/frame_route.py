"""Frames past the script's run: POST /gradflow/frame, stateless; the same record as `frame.frame`, as JSON.

A request reads no cookie, no session and no secret, and changes nothing. It costs a measurement, so it is bounded: its
origin, its size, how many wait, and by what is compiled; one thread beside the event loop computes, since measurements
take turns anyway. They are answered in the order in which they come, and a page has at most two on the way: so each
visitor who drags has the same share.
"""

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PATH = "gradflow/frame"
LONGEST = 8192  # bytes of a request
WAITING = 64  # requests at once; a page has at most two
HEADERS = {"cache-control": "no-store", "content-encoding": "identity"}  # to pack 14 kB costs more than to send them
_WORKER = ThreadPoolExecutor(1, "frames")
_waiting = 0


def routes() -> list[Route]:
    """What `st.App` serves beside Streamlit's own, under the base path that Streamlit was given."""
    from streamlit import config  # by now the command line is read

    root = config.get_option("server.baseUrlPath").strip("/")
    return [Route(f"/{root}/{PATH}" if root else f"/{PATH}", respond, methods=["POST"])]


async def respond(request: Request) -> Response:
    """A frame; 400 for what no page of ours sends, 403, 413 and 503 as bounded, 422 where only a run can show it."""
    global _waiting
    if not _same_origin(request):
        return Response(status_code=403)
    if not request.headers.get("content-length", "").isdecimal():
        return Response(status_code=400)
    if int(request.headers["content-length"]) > LONGEST:
        return Response(status_code=413)
    if _waiting >= WAITING:
        return Response(status_code=503)
    _waiting += 1
    try:
        body = await request.body()
        answer = await asyncio.get_running_loop().run_in_executor(_WORKER, _answer, body)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        logging.getLogger("gradflow").info("frame refused: %r", error)
        return Response(status_code=400)
    finally:
        _waiting -= 1
    return Response(answer, 200 if answer else 422, HEADERS, "application/json")


def _same_origin(request: Request) -> bool:
    """By Sec-Fetch-Site; browsers leave it out on plain HTTP, where Origin must be the host that was asked."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _answer(body: bytes) -> str:
    """A frame as JSON; nothing where something would have to be compiled."""
    given = json.loads(body)
    if given.get("page") == "network":
        from gradflow.app import recorded

        own = recorded.read(given)
        return to_json(recorded.draw_frame(own)) if own.compiled else ""
    from gradflow.app.frame import frame, read

    asked = read(given)
    return to_json(frame(asked)) if asked.compiled else ""


def to_json(record: dict[str, Any]) -> str:
    """Strict and short."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False)
