"""gradflow: streamlit run app.py"""

import streamlit as st

if __name__ == "__main__":  # as Streamlit runs it, for each visitor
    from gradflow.app.errors import error_boundary

    def link() -> dict[str, str]:
        from gradflow.app import session

        return session.link()

    st.set_option("client.showErrorDetails", "none")  # on any host: not even what escapes the apology
    with error_boundary(link):
        from gradflow.app import session
        from gradflow.app.navigation import EXPLORE, LESSONS, NETWORK, ways

        st.set_page_config(page_title="gradflow", page_icon="∇", layout="wide")
        session.receive_address()
        pages = [
            st.Page(EXPLORE, title="Explore", default=True),
            st.Page(LESSONS, title="Lessons"),
            st.Page(NETWORK, title="Your network"),  # which says what is missing where no file was named
        ]
        here = st.navigation(pages, position="hidden")
        session.open_page(here.title)
        if not st.context.is_embedded:
            ways(here.title)
        session.show_pending_errors()
        here.run()
else:  # as it is served
    from gradflow.app.frame_route import routes

    app = st.App(__file__, routes=routes())
