"""gradflow: streamlit run app.py"""

import streamlit as st

st.set_page_config(page_title="gradflow", page_icon="∇", layout="wide")
pages = [
    st.Page("gradflow/pages/explore.py", title="Explore", default=True),
    st.Page("gradflow/pages/lessons.py", title="Lessons"),
]
st.navigation(pages, position="hidden" if st.context.is_embedded else "top").run()
