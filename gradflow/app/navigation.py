"""The ways between the pages: links that bring along what a person has left on the other page."""

from collections.abc import Callable
from html import escape

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gradflow.app import command_line, session
from gradflow.app.lessons import LESSONS as ALL
from gradflow.app.url_codec import link_params

EXPLORE, LESSONS = "gradflow/app/pages/explore.py", "gradflow/app/pages/lessons.py"
NETWORK = "gradflow/app/pages/your_network.py"


def ways(here: str) -> None:
    """The name of the app, its pages, of which the open one is no link, and on the first view where to begin."""
    with st.container(horizontal=True, vertical_alignment="center", key="ways"):
        st.html("<b>gradflow</b>", width="content")
        pages = [("Explore", EXPLORE, _explore), ("Lessons", LESSONS, _lessons)]
        if command_line.recording() or here == "Your network":
            pages.append(("Your network", NETWORK, _network))
        for title, script, link in pages:
            if title == here:
                st.html(f'<span aria-current="page">{escape(title)}</span>', width="content")
            else:
                st.page_link(script, label=title, query_params=link(), width="content")
        if here == "Explore":
            st.page_link(
                LESSONS, label=":primary[New here? Start with lesson 1]", query_params=first_lesson(), width="content"
            )


def carrier() -> Callable[[], None]:
    """Draw a link that opens in Explore what the address bar has of scenario and view.

    Returns:
        () -> None, for the fragment of the live picture to call: draws it anew where something has moved and come to
        rest. What a fragment does not draw again is gone, so in a drag the first link is there again: no message.
    """
    carried = lambda: {name: text for name, text in session.state().address.items() if name in session.names()}
    draw = lambda place, link: place.page_link(EXPLORE, label="Open in Explore", query_params=link, width="content")
    with st.container(horizontal=True, width="content", key="carry"):
        first = carried()
        draw(st, first)
        place = st.empty()
        reserved: list[DeltaGenerator] = []

    def carry():
        link = carried()
        if not reserved:
            reserved.append(place.empty())
        elif first != link == session.link():
            draw(place, link)

    return carry


def first_lesson() -> dict[str, str]:
    """A link to the first lesson as it begins, with the answers that were given."""
    answers = (session.left("Lessons") or {}).get("answers")
    begun = {"lesson": "1"} | ({"answers": answers} if answers else {})
    return begun | link_params(ALL[0].scenario, ALL[0].view)


def _explore():
    return session.left("Explore")


def _lessons():
    return session.left("Lessons") or first_lesson()


def _network():
    return session.left("Your network")
