"""What a public server must not do: the options it runs with, what it lets in, and what source may put on a page."""

import ast
import http.client
import re
import tomllib
import urllib.error
import urllib.request
from contextlib import closing
from urllib.parse import unquote, urlsplit

import pytest
from streamlit import config

from support.paths import ROOT, SOURCES

OPTIONS = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "client.toolbarMode": "minimal",
    "runner.fastReruns": False,
    "runner.magicEnabled": False,
    "server.corsAllowedOrigins": [],
    "server.enableAgentApi": False,
    "server.enableCORS": True,
    "server.enableStaticServing": False,
    "server.enableXsrfProtection": True,
    "server.maxUploadSize": 1,
    "server.maxWidgetStateSize": 1,
    "theme.base": None,  # the browser's own choice of light or dark
}


def settings(table, *path):
    """(name, value) of everything in the configuration file."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from settings(value, *path, name)
        else:
            yield ".".join((*path, name)), value


SET = dict(settings(tomllib.loads((ROOT / ".streamlit/config.toml").read_text())))


@pytest.mark.parametrize("name", SET)
def test_every_configured_option_exists_in_this_streamlit(name):
    option = config._config_options_template[name]
    assert type(SET[name]) is option.type
    assert not option.is_expired() and not option.deprecated


def test_the_options_of_a_public_server():
    effective = {name: SET.get(name, config._config_options_template[name].default_val) for name in OPTIONS}
    assert effective == OPTIONS
    assert {name.rsplit(".", 1)[0] for name in SET if name.startswith("theme")} == {
        "theme",
        "theme.light",
        "theme.dark",
        "theme.sidebar",
    }
    assert not [name for name in SET if name.startswith("theme.") and name.endswith(("ackgroundColor", "textColor"))]


@pytest.fixture
def upload(visit, tmp_path):
    """upload(bytes, **headers): the status of the answer, for a file that goes round the page to the server itself."""
    page = visit({"closer": "true"})
    page.get_by_role("button", name="Take away").click()
    small = tmp_path / "small.json"
    small.write_text("{}")
    with page.expect_request(lambda request: request.method == "PUT") as sent:
        page.locator("input[type=file]").set_input_files(small)
    url = sent.value.url
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    token = unquote(cookies["_streamlit_xsrf"])

    def upload(data, token=token, chunked=False):
        body = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f.json"\r\n\r\n' + data + b"\r\n--x--\r\n"
        headers = {
            "Content-Type": "multipart/form-data; boundary=x",
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        }
        if token:
            headers["X-Xsrftoken"] = token
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(body))
        pieces = (body[start : start + 65536] for start in range(0, len(body), 65536))
        request = urllib.request.Request(url, pieces, headers, method="PUT")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except (ConnectionError, urllib.error.URLError):
            return "closed"

    return upload


def test_the_server_itself_refuses_what_is_too_large_or_has_no_token(upload):
    assert upload(b"{}") == 204
    assert upload(b"{}", token=None) == 403
    assert upload(b" " * (2**20 + 1)) in (413, "closed")  # the latter where it closes while we still send
    assert upload(b" " * 2**23) in (413, "closed")


def test_a_foreign_page_gets_no_socket_and_no_file(server):
    def get(path, **headers):
        with closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = b"" if answer.status == 101 else answer.read()
            return answer.status, answer.headers.get("Access-Control-Allow-Origin"), body

    socket = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    assert get("/_stcore/stream", Origin=server.url, **socket)[0] == 101
    assert get("/_stcore/stream", Origin="http://elsewhere.example", **socket)[0] == 403
    assert get("/_stcore/health", Origin="http://elsewhere.example") == (200, None, b"ok")
    start = get("/")[2]
    for path in ("/app/static/app.py", "/app/static/../app.py"):
        assert get(path)[0] in (400, 403, 404) or get(path)[2] == start


# ------------------------------------------------------------------------------------------------- the source


def calls(tree):
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def name(node):
    """The last name of what is called or read."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)


def harmless(value):
    """Whether a value in markup cannot carry markup of its own."""
    if isinstance(value, ast.IfExp):
        return harmless(value.body) and harmless(value.orelse)
    return isinstance(value, ast.Constant) or (isinstance(value, ast.Call) and name(value.func) in ("escape", "style"))


def unescaped(tree):
    """What source puts on a page as markup without escaping it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "unsafe_allow_html":
            yield ast.unparse(node.value)
        if isinstance(node, ast.Constant) and node.value == "unsafe_allow_html":
            yield node.value
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value for part in node.values if isinstance(part, ast.Constant))
            parts = (part.value for part in node.values if isinstance(part, ast.FormattedValue))
            if re.search("<[a-zA-Z/!]", text):
                yield from (ast.unparse(part) for part in parts if not harmless(part))
    for call in calls(tree):
        if name(call.func) in ("html", "iframe"):
            (body,) = call.args
            file = isinstance(body, ast.BinOp) and isinstance(body.op, ast.Div) and name(body.left) == "HERE"
            if not (isinstance(body, (ast.Constant, ast.JoinedStr)) or file):
                yield ast.unparse(body)


def unguarded(tree):
    """Callbacks and downloads that would break the page."""
    handed = [(word.arg, word.value) for word in ast.walk(tree) if isinstance(word, ast.keyword)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            handed += [(getattr(key, "value", None), value) for key, value in zip(node.keys, node.values, strict=True)]
    for call in calls(tree):
        if name(call.func) == "download_button":
            handed += [("on_click", word.value) for word in call.keywords if word.arg == "data"]
    for word, value in handed:
        wrapped = isinstance(value, ast.Call) and name(value.func) in ("callback", "on")
        if word in ("on_click", "on_change", "on_submit", "on_select") and not (
            wrapped or isinstance(value, ast.Constant)
        ):
            yield ast.unparse(value)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_markup_is_made_of_what_is_not_escaped(path):
    assert not list(unescaped(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("path", sorted((ROOT / "gradflow").rglob("*.js")), ids=lambda path: path.name)
def test_no_markup_is_made_of_data_in_the_browser(path):
    """Data become texts; what is made of markup is constant, but for the name of a range."""
    code = path.read_text(encoding="utf-8")
    markup = re.findall(r"(?:innerHTML|outerHTML)\s*=\s*(`[^`]*`|[^;]*)", code)
    assert all(each[0] == "`" and set(re.findall(r"\$\{(.*?)\}", each)) <= {"id"} for each in markup)
    assert not re.search(r"insertAdjacentHTML|document\.write|\beval\(|new Function", code)


@pytest.mark.parametrize(
    "bad",
    [
        'st.html(f"<p>{text}</p>")',
        "st.html(scenario.text)",
        'st.html("<p>" + text)',
        "st.markdown(text, unsafe_allow_html=True)",
        'how = {"unsafe_allow_html": True}',
        'body = f"<b>{escape(a)} {b if c else escape(d)}</b>"',
    ],
)
def test_markup_of_what_is_not_escaped_would_be_found(bad):
    assert list(unescaped(ast.parse(bad)))


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.name != "session.py"], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_every_callback_and_download_is_guarded(path):
    assert not list(unguarded(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "bad", ["st.button('x', on_click=undo)", "how = {'on_change': undo}", "st.download_button('x', data=make)"]
)
def test_an_unguarded_callback_would_be_found(bad):
    assert list(unguarded(ast.parse(bad)))
