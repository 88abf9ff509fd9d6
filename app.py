"""gradflow: streamlit run app.py"""

import streamlit as st

if __name__ == "__main__":  # as Streamlit runs it, for each visitor
    from gradflow.app.errors import error_boundary, show_pending_errors
    from gradflow.app.navigation import EXPLORE, LESSONS, ways
    from gradflow.app.url_state import catch_up, enter

    st.set_option("client.showErrorDetails", "none")  # on any host: not even what escapes the apology
    with error_boundary():
        st.set_page_config(page_title="gradflow", page_icon="∇", layout="wide")
        catch_up()
        here = st.navigation(
            [st.Page(EXPLORE, title="Explore", default=True), st.Page(LESSONS, title="Lessons")], position="hidden"
        )
        enter(here.title)
        if not st.context.is_embedded:
            ways(here.title)
        show_pending_errors()
        here.run()
else:  # as it is served
    from gradflow.app.frame_route import routes

    app = st.App(__file__, routes=routes())
