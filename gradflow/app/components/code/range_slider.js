// Sliders that report while they are dragged or played, numbers that can be typed, and clicks on the map.
//
// in   data: [{ ranges: [{ name, label, help, low, high, step, digits, cap, curve, value, initial, unset }], turn, play, target }]
//      unset: { words, value, told } of a range that a person may leave as it is otherwise, which is null in a report: what
//      that is called and where it stands, and whether its number says so; or null
//      cap: the largest value that means something now, or null; a value beyond it is kept until the range is moved
//      curve: the track in pieces from left to right, [[its share of the track, its last value, the step of a drag]],
//      or null: a track that is even
// out  state "moved": { values: { name: number | null }, held: name | null, playing: name | null, turn }
//
// While something moves, its picture is asked for as a frame, and nothing is reported until it is let go; see frames.js.
// Every report has a new turn, and Python hands back the last one it has seen. A report holds what was moved since and
// nothing else: the other values are Python's, which may be changing them. The next report waits until Python has seen
// the last: a run that begins while another's messages are still in the server's queue throws them away, chart and all.
// It also waits for what a click or key beside the ranges sets off: two reports in one message would be run as one.

import { ask } from "./frames.js";

const KEYS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"]);
const ELSEWHERE = ["pointerdown", "click", "keydown"];
const OVERLAY = "[data-st-overlay-root]"; // a popover, which a click beside it closes
const CHOSEN = new Set(["lag", "row", "col"]); // what is looked at, and not swept
const KEY_REST = 300; // ms after the last key until the value counts as settled
const PATIENCE = 1000; // ms after which a report that Python never saw holds the next one up no longer
const SLOW = 250; // ms between two reports while a range moves and its frames do not come by themselves
const AFTER = 50; // ms after a click or key elsewhere until the next report
const TICK = 33; // ms between two values of a sweep
const SWEEP = 8000; // ms from one end to the other, at speed 1
const FINE = 10; // how much less far a drag goes with Shift, on a track in pieces
const TOUCH = matchMedia("(pointer: coarse)");
const THUMB = 18.4; // px: its centre cannot leave the track by half of this
const NARROW = 620; // px: a narrower view stacks its panels

let line = null; // one watch for all ranges of the page
const panels = new Set(); // what all of them have moved goes into a frame

export default function ({ parentElement, data: [data], setStateValue }) {
  const panel = parentElement.querySelector(".ranges");
  const live = (panel.live ??= start(data, panel));
  live.send = setStateValue;
  live.target = data.target;
  live.seen = data.turn;
  for (const [name, { turn }] of live.moves) if (turn <= live.seen) live.moves.delete(name);
  if (live.alarm) report(live); // or sooner than it was to

  const names = data.ranges.map((range) => range.name);
  if (names.join() !== [...live.rows.keys()].join() || data.play !== Boolean(live.player)) {
    const kept = live.rows;
    live.rows = new Map(data.ranges.map((range) => [range.name, kept.get(range.name) ?? createRow(live, range)]));
    stop(live);
    live.player = data.play ? createPlayer(live, data.ranges) : null;
    arrange(panel, [...live.rows.values(), ...(live.player ? [live.player] : [])].map(({ element }) => element));
  }
  for (const range of data.ranges) {
    const row = live.rows.get(range.name);
    row.range = range;
    name(row);
    if (!live.moves.has(range.name)) Object.assign(row, { value: range.value, initial: range.initial });
    show(row);
  }
  panels.add(live);
  return () => {
    stop(live);
    panels.delete(live);
    document.removeEventListener("click", live.click);
    for (const type of ELSEWHERE) document.removeEventListener(type, live.elsewhere, true);
  };
}

// What stays is not taken out and put back: it would lose the focus, and a key pressed then would be no one's.

function arrange(panel, elements) {
  for (const element of [...panel.children]) if (!elements.includes(element)) element.remove();
  elements.forEach((element, k) => panel.children[k] === element || panel.insertBefore(element, panel.children[k]));
}

// After the line was lost there may be another server at its end, which knows nothing of this page. Streamlit then waits
// for a touch, forgets what it was, and lets ranges report in vain; so its own key for a new run is pressed.

function watchLine() {
  const app = document.querySelector("[data-test-connection-state]");
  const connected = () => app.dataset.testConnectionState === "CONNECTED";
  let before = connected();
  const key = { key: "r", code: "KeyR", keyCode: 82, which: 82, bubbles: true };
  const look = () => {
    if (connected() && !before) for (const type of ["keydown", "keyup"]) document.body.dispatchEvent(new KeyboardEvent(type, key));
    before = connected();
  };
  const line = new MutationObserver(look);
  line.observe(app, { attributes: true, attributeFilter: ["data-test-connection-state"] });
  return line;
}

function start(data, panel) {
  line ??= watchLine();
  const live = {
    turn: data.turn, // of our last report
    sent: 0, // when
    seen: data.turn, // of the last report that Python has seen
    held: null,
    playing: null,
    moved: false,
    frame: 0, // until the next report
    timer: 0, // until a key counts as let go
    other: -AFTER, // when another widget may have reported
    alarm: 0, // something is to be reported when this goes off, or once Python has seen our last report
    moves: new Map(), // what was set and Python has not seen: name → its value and the turn that reports it
    rows: new Map(),
  };
  live.click = (event) => pick(live, event);
  live.elsewhere = (event) => {
    const path = event.composedPath();
    const ours = path.includes(panel) && (event.type !== "keydown" || KEYS.has(event.key) || path[0].matches(".number"));
    if (!ours || (event.type === "click" && document.querySelector(OVERLAY))) live.other = performance.now();
  };
  document.addEventListener("click", live.click);
  for (const type of ELSEWHERE) document.addEventListener(type, live.elsewhere, true);
  return live;
}

function createRow(live, range) {
  const element = document.createElement("div");
  const id = "range-" + range.name;
  element.innerHTML = `<label for="${id}"></label><button class="help" type="button" tabindex="-1" aria-hidden="true">?</button>
    <input class="number" enterkeyhint="done" autocomplete="off" spellcheck="false" aria-describedby="${id}-help ${id}-wrong">
    <input type="range" id="${id}" aria-describedby="${id}-help">${range.unset ? `<button class="unset" type="button">↺</button>` : ""}
    <div class="wrong" id="${id}-wrong" role="alert" hidden></div><p id="${id}-help" role="tooltip"></p>`;
  const find = (selector) => element.querySelector(selector);
  const row = { element, range, input: find("[type=range]"), number: find(".number"), wrong: find(".wrong") };
  if (range.unset) find(".unset").onclick = () => [stop(live), unset(live, row)];
  track(live, row);
  type(live, row);
  return row;
}

function name({ element, number, range }) {
  element.querySelector("label").textContent = range.label;
  element.querySelector("p").textContent = range.help;
  number.setAttribute("aria-label", `${range.label}, number`);
  element.querySelector(".unset")?.setAttribute("aria-label", `${range.label} ${range.unset.words}`);
}

function track(live, row) {
  const { input, range } = row;
  const ends = range.curve ? { min: 0, max: 1, step: "any" } : { min: range.low, max: range.high, step: range.step };
  Object.assign(input, { name: range.name, ...ends });
  if (range.curve) Object.assign(input, { ariaValueMin: range.low, ariaValueMax: range.high });
  let last = 0; // where the pointer was
  let fine = 0; // what of a fine drag is less than a step

  input.onpointerdown = (event) => {
    stop(live);
    hold(live, range.name);
    [last, fine, row.fine] = [event.clientX, 0, range.curve && event.shiftKey];
  };
  input.onpointermove = ({ buttons, clientX, shiftKey }) => {
    row.fine = range.curve && buttons && shiftKey;
    if (row.fine) {
      const from = share(row.range, shown(row)) + fine;
      const to = Math.min(1, Math.max(0, from + (clientX - last) / (input.clientWidth - THUMB) / FINE));
      const value = at(row.range, to);
      fine = to - share(row.range, value);
      if (value !== row.value) move(live, row, value);
    } else fine = 0;
    last = clientX;
  };
  const letGo = () => setTimeout(() => live.playing ?? release(live)); // after the click, which may close a popover
  input.onpointerup = input.onpointercancel = input.onblur = letGo;
  input.onkeydown = (event) => {
    if (!KEYS.has(event.key)) return;
    stop(live);
    hold(live, range.name, KEY_REST);
    event.stopPropagation(); // Page Down moves the range here, not the presets
    if (!range.curve) return;
    event.preventDefault();
    const value = snap(row.range, pressed(row, event));
    if (value !== row.value) move(live, row, value);
  };
  input.oninput = () => {
    if (row.fine) show(row);
    else move(live, row, range.curve ? at(row.range, Number(input.value)) : Number(input.value));
  };
}

// Where a key takes a range whose track is in pieces: an arrow by the longest step of a drag, with Shift by the shortest.

function pressed({ range, value }, { key, shiftKey }) {
  if (key === "Home") return range.low;
  if (key === "End") return range.high;
  const by = shiftKey ? range.step : Math.max(...range.curve.map(([, , step]) => step));
  return value + by * (key.startsWith("Page") ? 10 : 1) * (/Right|Up/.test(key) ? 1 : -1);
}

// What is typed counts once Enter is pressed or the field is left, and as if a finger had let go there.

function type(live, row) {
  const { number, range } = row;
  number.title = "Type a number";
  number.inputMode = Number.isInteger(range.step) ? "numeric" : "decimal";
  number.onfocus = () => {
    stop(live);
    row.entered = true;
    number.select();
  };
  number.onclick = () => {
    if (row.entered) number.select(); // the click has put a caret
    row.entered = false;
  };
  number.oninput = () => {
    row.entered = false;
    row.typing = true;
    complain(row, "");
  };
  number.onkeydown = (event) => {
    event.stopPropagation(); // letters and Page Down are the page's shortcuts
    if (event.key === "Enter") take(live, row);
    else if (event.key === "Escape") restore(row);
    else return;
    if (TOUCH.matches) number.blur(); // which takes the keyboard off the screen
    else number.select();
  };
  number.onblur = () => row.typing && take(live, row);
}

function take(live, row) {
  const { range, number } = row;
  const text = number.value.trim();
  restore(row);
  if (text === number.value) return;
  const value = text === "" ? NaN : Number(text.replace(",", "."));
  if (value >= range.low && value <= top(range)) {
    move(live, row, snap(range, value));
    release(live);
  } else complain(row, `${range.label} goes from ${range.low} to ${top(range)}, and stays ${number.value}.`);
}

function restore(row) {
  row.typing = false;
  complain(row, "");
  show(row);
}

function complain({ wrong, number }, sentence) {
  wrong.textContent = sentence;
  wrong.hidden = !sentence;
  number.setAttribute("aria-invalid", Boolean(sentence));
}

const top = (range) => Math.min(range.cap ?? range.high, range.high);
const shown = ({ range, value }) => Math.min(value, top(range));

function snap(range, value, step = range.step) {
  const steps = Math.round((value - range.low) / step);
  return Number(Math.min(Math.max(range.low + steps * step, range.low), top(range)).toFixed(range.digits));
}

// Where a value stands on the track, 0 to 1, and the value there.

function share(range, value) {
  let [from, low] = [0, range.low];
  for (const [width, high] of pieces(range)) {
    if (value <= high) return high > low ? from + (width * (value - low)) / (high - low) : from;
    [from, low] = [from + width, high];
  }
  return 1;
}

function at(range, place) {
  let [from, low] = [0, range.low];
  for (const [width, high, step] of pieces(range)) {
    if (place <= from + width) return snap(range, low + ((high - low) * (place - from)) / width, step);
    [from, low] = [from + width, high];
  }
  return top(range);
}

const pieces = (range) => range.curve ?? [[1, top(range), range.step]];

function show(row) {
  const { element, range, input, number } = row;
  const value = shown(row), place = share(range, value);
  const text = row.initial ? (range.unset?.words ?? "as initialised") : value.toFixed(range.digits);
  element.classList.toggle("set", !row.initial && value !== range.unset?.value);
  if (!range.curve) input.max = top(range);
  input.value = range.curve ? place : value;
  if (!row.typing && number.value !== text) number.value = text;
  number.style.width = `${Math.max(text.length, 5) + 1}ch`;
  if (range.curve) input.ariaValueNow = value;
  input.setAttribute("aria-valuetext", `${range.label} ${text}`);
  element.style.setProperty("--filled", 100 * place + "%");
}

function move(live, row, value) {
  Object.assign(row, { value, initial: false });
  restore(row);
  live.moved = true;
  set(live, row.range.name, value);
  live.frame ||= requestAnimationFrame(() => tell(live));
}

function unset(live, row) {
  Object.assign(row, { value: row.range.unset.value, initial: row.range.unset.told });
  restore(row);
  set(live, row.range.name, null);
  report(live);
}

function set(live, name, value) {
  live.moves.set(name, { value, turn: live.turn + 1 });
}

function hold(live, name, rest) {
  live.held = name;
  clearTimeout(live.timer);
  if (rest) live.timer = setTimeout(() => release(live), rest);
}

function release(live) {
  clearTimeout(live.timer);
  live.held = null;
  if (live.moved) report(live);
  live.moved = false;
}

function rest(live) {
  const now = performance.now();
  const slow = live.held ? live.sent + SLOW - now : 0;
  return Math.max(0, slow, live.other + AFTER - now, live.seen < live.turn ? live.sent + PATIENCE - now : 0);
}

// While something moves, its picture comes as a frame; where none comes, by a report, and then not as often.

function tell(live) {
  live.frame = 0;
  const moved = Object.assign({}, ...[...panels].map(values));
  if (!live.held || !ask(moved, live.playing, () => live.held && report(live))) report(live);
}

const values = (live) => Object.fromEntries([...live.moves].map(([name, { value }]) => [name, value]));

function report(live) {
  cancelAnimationFrame(live.frame);
  live.frame = 0;
  clearTimeout(live.alarm);
  const wait = rest(live);
  live.alarm = wait && setTimeout(() => report(live), wait);
  if (wait) return;
  live.turn += 1;
  live.sent = performance.now();
  live.send("moved", { values: values(live), held: live.held, playing: live.playing, turn: live.turn });
}

// A sweep: from where the range stands up to its end, down to the other, and back to where it stood.

function createPlayer(live, ranges) {
  const element = document.createElement("div");
  element.className = "play";
  element.innerHTML = `<button type="button">▶ Play</button><select aria-label="What to sweep"></select>
    <select aria-label="Speed"><option value="0.5">½×</option><option value="1" selected>1×</option>
    <option value="2">2×</option></select>`;
  const [button, sweep, speed] = element.children;
  for (const range of ranges.filter(({ name }) => !CHOSEN.has(name))) sweep.add(new Option(range.label, range.name));
  button.onclick = () => (live.playing ? stop(live) : play(live));
  sweep.onchange = () => stop(live);
  return { element, button, sweep, speed };
}

function play(live) {
  const name = live.player.sweep.value;
  const row = live.rows.get(name);
  const start = snap(row.range, row.value), left = row.range.unset && !row.element.matches(".set");
  const begin = share(row.range, start);
  let way = 0; // of the two lengths of a sweep
  live.player.button.textContent = "❚❚ Pause";
  live.playing = name;
  hold(live, name);
  live.ticker = setInterval(() => {
    way = Math.min(2, way + (TICK / SWEEP) * live.player.speed.value);
    const place = (begin + way) % 2; // up from 0 to 1, down from 1 to 2
    if (way < 2) return move(live, row, at(row.range, place < 1 ? place : 2 - place));
    if (left) unset(live, row);
    else move(live, row, start);
    stop(live);
  }, TICK);
}

function stop(live) {
  if (!live.playing) return;
  clearInterval(live.ticker);
  live.playing = null;
  live.player.button.textContent = "▶ Play";
  release(live);
}

// A click on the map: the row under it is the time, the column the lag.

function pick(live, event) {
  const { target } = live;
  if (!target || !event.target.matches?.(target.selector)) return;
  const box = event.target.getBoundingClientRect();
  const wide = box.width - target.left - 2 >= NARROW ? 0 : 1;
  const [top, bottom] = [target.top[wide], target.bottom[wide]];
  const across = (event.clientX - box.left - target.left) / (box.width - target.left - 2 - target.right);
  const down = (event.clientY - box.top - 2 - top) / (bottom - top);
  if (across < 0 || across >= 1 || down < 0 || down >= 1) return;
  const time = Math.floor(down * target.steps);
  set(live, "time", time);
  set(live, "lag", Math.min(Math.floor(across * target.steps), time));
  report(live);
}
