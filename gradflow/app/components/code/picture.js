// One chart: sentence, text, images and a Vega view over them, which is built once and then takes tables.
//
// in   data: [{ spec, vega, record, request, run }]
//      spec: address of the specification; vega: name of Streamlit's module that loads Vega, beside its other code
//      record: { broken, sentence: [head, rest], said, tables: { name: [checksum, { column: values }] }, images: { name: url } }
//      request: what the next frame is asked for, or null where no range moves this chart

import { expect } from "./frames.js";

const loaded = new Map(); // address → promise of what is there, for all charts of the page
const page = () => document.querySelector("script[src*='static/js']").src;

export default function ({ parentElement, data: [data] }) {
  const root = parentElement.querySelector(".picture");
  const picture = (root.picture ??= create(root));
  picture.newest = data;
  const paint = (record) => new Promise((done) => show(picture, { ...picture.newest, record }, done));
  if (data.request) expect(data.request, paint);
  show(picture, data);
  return () => {
    picture.observer.disconnect();
    picture.finalize?.();
  };
}

function create(root) {
  root.innerHTML = `<h2 hidden></h2><p hidden></p><div class="chart"><div class="view"></div></div>`;
  const [sentence, said, chart] = root.children;
  const picture = { root, sentence, said, chart, spec: "", drawn: {}, images: new Map(), next: null, drawing: false };
  picture.observer = new ResizeObserver(() => resize(picture));
  picture.observer.observe(chart);
  return picture;
}

// The newest of what is to be shown, one after another: two drawings in one frame of the screen, and one is never seen.

async function show(picture, data, done) {
  picture.next?.done?.(); // it is overtaken
  picture.next = { ...data, done };
  if (picture.drawing) return;
  picture.drawing = true;
  while (picture.next) {
    const next = picture.next;
    picture.next = null;
    try {
      await paint(picture, next);
    } catch (error) {
      console.error(error);
    }
    next.done?.();
    if (picture.next) await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
  }
  picture.drawing = false;
}

async function paint(picture, { spec, vega, record }) {
  if (record.tables) {
    if (spec !== picture.spec) await build(picture, spec, vega, record.tables);
    else await update(picture, record.tables);
  }
  picture.chart.classList.toggle("broken", (record.broken ?? null) !== null);
  say(picture, record);
  if (record.images) draw(picture, record.images);
}

function say(picture, { broken, sentence, said, unseen }) {
  picture.root.classList.toggle("silent", !said && !sentence?.[0]); // a lesson before it is revealed
  if (unseen !== undefined) picture.root.classList.toggle("unseen", unseen);
  picture.sentence.hidden = !sentence;
  picture.said.hidden = said === undefined;
  if (sentence) {
    const [head, rest] = sentence;
    picture.sentence.className = (broken ?? null) === null ? "good" : "broken";
    picture.sentence.style.visibility = head ? "visible" : "hidden"; // its place stays
    picture.sentence.replaceChildren(head);
    if (rest) {
      const small = document.createElement("small");
      small.textContent = rest;
      picture.sentence.append(" ", small);
    }
  }
  if (picture.said.textContent !== (said ?? "")) picture.said.textContent = said ?? "";
}

function draw(picture, images) {
  for (const [name, image] of picture.images) if (!(name in images)) [image.remove(), picture.images.delete(name)];
  for (const [name, url] of Object.entries(images)) {
    let image = picture.images.get(name);
    if (!image) {
      image = Object.assign(new Image(), { alt: "", decoding: "sync", className: name });
      picture.images.set(name, image);
      picture.chart.prepend(image);
    }
    image.src = url;
  }
}

function once(address, load) {
  if (!loaded.has(address)) loaded.set(address, load(new URL(address, page())));
  return loaded.get(address);
}

async function build(picture, spec, vega, tables) {
  const [constant, { embed }] = await Promise.all([
    once(spec, async (url) => (await fetch(url)).json()),
    once(vega, async (url) => {
      const [load] = Object.values(await import(url));
      return load();
    }),
    document.fonts.ready,
  ]);
  const datasets = Object.fromEntries(Object.entries(tables).map(([name, [, columns]]) => [name, rows(columns)]));
  const style = getComputedStyle(picture.chart);
  const options = { actions: false, mode: "vega-lite", defaultStyle: false, config: { font: style.fontFamily } };
  const whole = { ...constant, width: picture.chart.clientWidth, datasets };
  picture.finalize?.();
  const { view, finalize } = await embed(picture.chart.querySelector(".view"), whole, options);
  Object.assign(picture, { spec, view, finalize, width: whole.width });
  picture.drawn = Object.fromEntries(Object.entries(tables).map(([name, [mark]]) => [name, mark]));
  await view.runAsync();
  picture.root.dataset.drawn = spec; // the page greys another one
  resize(picture);
}

async function update(picture, tables) {
  for (const [name, [mark, columns]] of Object.entries(tables)) {
    if (picture.drawn[name] === mark) continue;
    picture.drawn[name] = mark;
    picture.view.data(name, rows(columns));
  }
  await picture.view.runAsync();
}

function rows(columns) {
  const names = Object.keys(columns);
  return (columns[names[0]] ?? []).map((_, k) => Object.fromEntries(names.map((name) => [name, columns[name][k]])));
}

function resize(picture) {
  const width = picture.chart.clientWidth;
  picture.root.closest(".st-key-picture")?.style.setProperty("--drawn", `${picture.width}px`); // paper has another width
  if (!picture.view || !width || width === picture.width || matchMedia("print").matches) return;
  picture.width = width;
  picture.view.width(width).resize().runAsync();
}
