"""A visitor without a browser: Streamlit's own messages over a WebSocket, kept as they come and read afterwards."""

import asyncio
import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import numpy as np
import websockets
from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from gradflow.app.charts.base import numbers
from gradflow.app.measurement import measure
from gradflow.app.url_codec import parse, to_params

BRIEF = 600  # bytes: what ends a run or changes the address is shorter; only such messages are read while others wait
EARLY = ForwardMsg.FINISHED_EARLY_FOR_RERUN


class Run(NamedTuple):
    """What one run of the script sent."""

    sent: float  # seconds, when it was asked for
    finished: float  # when its last message came
    raw: tuple  # of bytes
    times: tuple  # seconds, when each of them came

    @property
    def seconds(self):
        return self.finished - self.sent

    def messages(self):
        return [ForwardMsg.FromString(data) for data in self.raw]

    def elements(self, kind):
        """(message, element) of every new element of a kind."""
        for message in self.messages():
            if message.delta.new_element.WhichOneof("type") == kind:
                yield message, getattr(message.delta.new_element, kind)

    def errors(self):
        """Every exception and every apology, as text."""
        alerts = [alert.body for _, alert in self.elements("alert") if alert.format == Alert.ERROR]
        return [*alerts, *(exception.message for _, exception in self.elements("exception"))]

    def picture(self):
        """What the live picture is given."""
        return [json.loads(each.json)[0] for _, each in self.elements("bidi_component") if each.id.endswith("-flow")][
            -1
        ]

    def record(self):
        """The live picture, as `frame.frame` returns it."""
        return self.picture()["record"]


class Frame(NamedTuple):
    """What came past the run."""

    sent: float  # seconds
    finished: float
    status: int
    body: bytes

    @property
    def seconds(self):
        return self.finished - self.sent

    def errors(self):
        return [] if self.status == 200 else [f"a frame was answered {self.status}"]

    def record(self):
        return json.loads(self.body)


def verdict(answer):
    """The sentence over the picture, of a `Run` or a `Frame`."""
    return " ".join(filter(None, answer.record()["sentence"]))


def tables(answer):
    """The data of the chart, name -> column -> values."""
    return {name: columns for name, (_, columns) in answer.record()["tables"].items()}


class Visitor:
    """One session: opens a link, then moves the live ranges."""

    def __init__(self, scenario, page="", **query):
        self.scenario, self.page = scenario, page
        self.query = urlencode(query or to_params(scenario))  # in the address bar
        self.turn = 0

    async def connect(self, url):
        self.http = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        stream = url.replace("http", "ws", 1) + "/_stcore/stream"
        self.socket = await websockets.connect(stream, subprotocols=["streamlit"], max_size=None, ping_interval=None)

    async def open(self):
        """Open the link of the scenario, or another page's; the `Run` that draws the page."""
        message = BackMsg()
        message.rerun_script.page_name = self.page
        run = await self._run(message)
        panels = [each for each in run.elements("bidi_component") if each[1].id.endswith("-ranges")]
        if not panels:
            raise RuntimeError(f"the page has no ranges: {run.errors()}")
        message, panel = panels[0]
        self.fragment, self.panel = message.delta.fragment_id, panel.id
        self.request = run.picture()["request"]
        return run

    async def move(self, held=None, **values):
        """Move to other values, as a live range does: while it is held, a `Frame`; let go, the `Run` that follows."""
        self.scenario = parse(to_params(self.scenario) | {name: f"{value:g}" for name, value in values.items()})[0]
        if held:
            return await asyncio.to_thread(self._frame, values)
        self.turn += 1
        message = BackMsg()
        message.rerun_script.fragment_id = self.fragment
        report = {"values": values, "held": held, "playing": None, "turn": self.turn}
        message.rerun_script.widget_states.widgets.add(id=self.panel, json_value=json.dumps({"moved": report}))
        run = await self._run(message)
        self.request = run.picture()["request"]
        return run

    def _frame(self, values):
        asked = self.request | {"link": self.request["link"] | values}
        sent = time.perf_counter()
        try:
            answer = self._post(asked)
        except ConnectionError:  # the server closes a connection after five idle seconds, and a browser opens another
            self.http.close()
            answer = self._post(asked)
        body = answer.read()
        return Frame(sent, time.perf_counter(), answer.status, body)

    def _post(self, asked):
        self.http.request("POST", "/gradflow/frame", json.dumps(asked), {"sec-fetch-site": "same-origin"})
        return self.http.getresponse()

    async def _run(self, message):
        message.rerun_script.query_string = self.query
        sent, raw, times = time.perf_counter(), [], []
        await self.socket.send(message.SerializeToString())
        while True:
            raw.append(await self.socket.recv())
            times.append(time.perf_counter())
            if len(raw[-1]) < BRIEF:
                brief = ForwardMsg.FromString(raw[-1])
                if brief.WhichOneof("type") == "page_info_changed":
                    self.query = brief.page_info_changed.query_string
                if brief.WhichOneof("type") == "script_finished" and brief.script_finished != EARLY:
                    return Run(sent, times[-1], tuple(raw), tuple(times))

    async def leave(self):
        self.http.close()
        await self.socket.close()


def wait_for(coroutine):
    """What a coroutine gives, whether or not this thread has a loop running; a browser of Playwright has one."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, coroutine).result()


def foreign(answer, scenario):
    """What of a run or a frame is not this scenario's: compared with the engine, in this process."""
    measurement, drawn = measure(scenario), tables(answer)
    low, high = (drawn["frame"][name][0] for name in ("low", "high"))
    shown, here = np.array(drawn["sums"]["sum"], float), np.clip(measurement.log_partial / np.log(10), low, high)
    same = {
        "verdict": verdict(answer) == measurement.said(at_rest=isinstance(answer, Run)),
        "terms": drawn["sums"]["term"] == numbers(measurement.log_row),
        "running sum": len(shown) == len(here) and np.allclose(shown, here, atol=1e-5),
    }
    return [name for name, agrees in same.items() if not agrees]
