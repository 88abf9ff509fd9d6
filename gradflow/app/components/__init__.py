"""Our own components. Their code is files that Streamlit serves and a browser keeps; a run sends only their names."""

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import streamlit as st

SERVED = {  # name -> what of this package is served under /component/gradflow.app.components.{name}/
    "code": Path(__file__).parent / "code",
    "specs": Path(__file__).parents[1] / "charts" / "built",
}
for _name, _folder in SERVED.items():
    st.components.v1.declare_component(_name, path=_folder)  # it needs a run, and each first import is in one

# A call that comes while the file is still on its way is made again once it is there, with the newest data.
_LOADER = """
const page = document.querySelector("script[src*='static/js']").src, waiting = new Map();
let draw;
const ready = import(new URL("%s", page)).then((module) => (draw = module.default));
export default function (component) {
  if (draw) return draw(component);
  const place = component.parentElement, first = !waiting.has(place);
  let end;
  waiting.set(place, component);
  if (first) ready.then(() => waiting.has(place) && (end = draw(waiting.get(place))));
  return () => {
    waiting.delete(place);
    end?.();
  };
}
"""


def component(name: str, html: str, css: str | None = None, *, isolated: bool = True) -> Callable[..., Any]:
    """A component whose code is a served file.

    Args:
        name: of the file, without its ending.
        html: what the code fills.
        css: its style.
        isolated: from the style of the page, and the page from its own.
    """
    code = _LOADER % url("code", f"{name}.js")
    return st.components.v2.component(f"gradflow.{name}", html=html, css=css, js=code, isolate_styles=isolated)


def url(served: str, name: str) -> str:
    """The address of a served file, from where Streamlit's own code lies; another version has another address."""
    return f"../../component/{__name__}.{served}/{name}?v={_version()}"


@cache
def _version():
    files = sorted(path for folder in SERVED.values() for path in folder.iterdir() if path.is_file())
    return blake2b(b"".join(path.read_bytes() for path in files), digest_size=6).hexdigest()
