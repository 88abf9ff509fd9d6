// Frames past the script's run: while a range is held, keyed or swept, its pictures come by POST from gradflow/frame.
//
// The picture says at each record of the script's run what the next frame is to be asked for; the ranges add what moves.
// Where the route does not answer, the ranges report as they do at rest, and the picture comes by the run.

const FLIGHT = 2; // requests on their way: the server computes one while the page draws another
const LATE = 3000; // ms that an answer may take
const PAUSE = 30_000; // ms after a failure until the next attempt

const frames = { request: null, paint: null, asked: 0, painted: 0, flying: 0, next: null, axes: null, broken: 0, failed: null };

// The picture's: what to ask for from now on, and how to paint. What is on its way is older, and not painted any more.

export function expect(request, paint) {
  Object.assign(frames, { request, paint, painted: frames.asked, next: null });
}

// The ranges': whether a frame of these values was asked for; failed is called if it does not come.

export function ask(values, playing, failed) {
  if (!frames.request || performance.now() < frames.broken) return false;
  if (!playing) frames.axes = null;
  else if (frames.axes?.playing !== playing) frames.axes = { playing, ends: null }; // those of the whole sweep
  const axes = playing ? frames.axes.ends : frames.request.axes;
  frames.next = { ...frames.request, link: { ...frames.request.link, ...values }, playing, axes };
  frames.failed = failed;
  send();
  return true;
}

async function send() {
  if (!frames.next || frames.flying === FLIGHT) return;
  const [id, asked] = [++frames.asked, frames.next];
  frames.next = null;
  frames.flying += 1;
  try {
    const route = new URL("../../gradflow/frame", document.querySelector("script[src*='static/js']").src);
    const answer = await fetch(route, { method: "POST", body: JSON.stringify(asked), signal: AbortSignal.timeout(LATE) });
    if (!answer.ok) throw answer.status;
    const record = await answer.json();
    if (asked.playing && frames.axes?.playing === asked.playing) frames.axes.ends ??= record.axes;
    if (id > frames.painted) {
      frames.painted = id;
      await frames.paint(record); // only then is another one asked for: none is computed that nobody sees
    }
  } catch (status) {
    if (status !== 422) frames.broken = performance.now() + PAUSE; // else a run compiles, and the next one may come
    frames.next = null;
    frames.failed();
  }
  frames.flying -= 1;
  send();
}
