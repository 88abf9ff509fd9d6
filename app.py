"""gradflow: streamlit run app.py"""

import streamlit as st

from gradflow.address import catch_up
from gradflow.messages import apology, own_up

st.set_option("client.showErrorDetails", "none")  # whatever a host sets: what escapes the apology is not shown either
with apology():
    st.set_page_config(page_title="gradflow", page_icon="∇", layout="wide")
    catch_up()
    own_up()
    pages = [
        st.Page("gradflow/pages/explore.py", title="Explore", default=True),
        st.Page("gradflow/pages/lessons.py", title="Lessons"),
    ]
    st.navigation(pages, position="hidden" if st.context.is_embedded else "top").run()
