// Sliders that report while they are dragged.
//
// in   data: { ranges: [{ name, label, help, low, high, step, digits, cap, value }], turn }
// out  state "moved": { values: { name: number }, held: name | null, turn }
//
// Every report has a new turn, and Python hands back the last one it has seen: values from Python are taken over
// only when it has seen all of ours, so they never overwrite the finger.

const KEYS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"]);
const KEY_REST = 300; // ms after the last key until the value counts as settled

export default function ({ parentElement, data, setStateValue }) {
  const panel = parentElement.querySelector(".ranges");
  const live = (panel.live ??= { turn: data.turn, held: null, moved: false, frame: 0, timer: 0, rows: new Map() });
  live.send = setStateValue;

  const names = data.ranges.map((range) => range.name);
  if (names.join() !== [...live.rows.keys()].join()) {
    const kept = live.rows;
    live.rows = new Map(data.ranges.map((range) => [range.name, kept.get(range.name) ?? createRow(live, range)]));
    panel.replaceChildren(...[...live.rows.values()].map((row) => row.element));
  }
  for (const range of data.ranges) {
    const row = live.rows.get(range.name);
    row.range = range;
    if (data.turn >= live.turn) row.input.value = range.value;
    show(row);
  }
}

function createRow(live, range) {
  const element = document.createElement("div");
  const id = "range-" + range.name;
  element.innerHTML = `<label for="${id}"></label><button type="button" tabindex="-1" aria-hidden="true">?</button>
    <output for="${id}"></output><input type="range" id="${id}" aria-describedby="${id}-help">
    <p id="${id}-help" role="tooltip"></p>`;
  const find = (selector) => element.querySelector(selector);
  const row = { element, range, input: find("input"), output: find("output") };
  const { input } = row;
  find("label").textContent = range.label;
  find("p").textContent = range.help;
  Object.assign(input, { name: range.name, min: range.low, max: range.high, step: range.step });
  input.value = range.value;

  input.onpointerdown = () => hold(live, range.name);
  input.onpointerup = input.onpointercancel = input.onblur = () => release(live);
  input.onkeydown = (event) => KEYS.has(event.key) && hold(live, range.name, KEY_REST);
  input.oninput = () => {
    show(row);
    live.moved = true;
    live.frame ||= requestAnimationFrame(() => report(live));
  };
  return row;
}

function show({ element, range, input, output }) {
  const text = Math.min(input.value, range.cap ?? Infinity).toFixed(range.digits);
  if (output.value !== text) output.value = text;
  input.setAttribute("aria-valuetext", `${range.label} ${text}`);
  element.style.setProperty("--filled", (100 * (input.value - range.low)) / (range.high - range.low) + "%");
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

function report(live) {
  cancelAnimationFrame(live.frame);
  live.frame = 0;
  const values = Object.fromEntries([...live.rows].map(([name, row]) => [name, Number(row.input.value)]));
  live.turn += 1;
  live.send("moved", { values, held: live.held, turn: live.turn });
}
