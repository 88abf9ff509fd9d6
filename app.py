"""gradflow: streamlit run app.py"""

import streamlit as st

st.set_page_config(page_title="gradflow", page_icon="∇", layout="wide")
st.navigation([st.Page("gradflow/pages/explore.py", title="Explore", default=True)], position="hidden").run()
