// Shift, turn, shear, zoom and flip of one picture, as course_lib/datasets/augment.py has them;
// x runs to the right and y down, both from the picture's centre.

const SIZE = 32, MIDDLE = (SIZE - 1) / 2;
const radians = (degrees) => (degrees * Math.PI) / 180;
const leaning = ({ shear, unit }) => (unit === "radians" ? shear : radians(shear));

// From a place of the result to its source in the picture: [x, y].
function source(x, y, settings) {
  const { sin, cos } = Math, lean = leaning(settings), turn = radians(settings.angle);
  const moves = [
    ([h, v]) => [settings.across * h, settings.along * v],
    ([h, v]) => [h - sin(lean) * v, cos(lean) * v],
    ([h, v]) => [h - settings.right, v - settings.down],
    ([h, v]) => [cos(turn) * h - sin(turn) * v, sin(turn) * h + cos(turn) * v],
  ];
  if (settings.order === "zoom first") moves.reverse(); // what is undone last was done first
  return moves.reduce((place, move) => move(place), [settings.flip ? -x : x, y]);
}

// The moved picture: `values` in rows of RGB, as `pixels`, and how many of its pixels have their
// source `outside`. mean: the level of each channel that these get where the fill is constant.
export function moved(pixels, settings, mean) {
  const values = new Float64Array(pixels.length), edge = (v) => Math.min(Math.max(v, 0), SIZE - 1);
  let outside = 0;
  for (let row = 0; row < SIZE; row++) {
    for (let column = 0; column < SIZE; column++) {
      const [x, y] = source(column - MIDDLE, row - MIDDLE, settings).map((v) => v + MIDDLE);
      const [h, v] = [edge(x), edge(y)], gone = h !== x || v !== y;
      outside += gone;
      const mixed = settings.between === "1";
      const [left, top] = [h, v].map(mixed ? Math.floor : Math.round);
      const [beyond, below] = mixed ? [h - left, v - top] : [0, 0];
      const at = (r, c, channel) => pixels[(edge(r) * SIZE + edge(c)) * 3 + channel];
      for (let channel = 0; channel < 3; channel++) {
        const mix = (r) => (1 - beyond) * at(r, left, channel) + beyond * at(r, left + 1, channel);
        values[(row * SIZE + column) * 3 + channel] = gone && settings.fill === "constant"
          ? mean[channel] : (1 - below) * mix(top) + below * mix(top + 1);
      }
    }
  }
  return { values, outside };
}

// From here on what the reader sees.
const SHEARS = [0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 8.6, 11.5, 20, 40];

const slider = (name, label, most, step, unit) => ({ kind: "slider", name, label, min: -most,
  max: most, step, text: (v) => `${String(v).replace("-", "−")} ${unit}` });
const zoom = (name, label, more, less) => ({ ...slider(name, label, 2, 0.05), min: 0.5,
  text: (v) => (v === 1 ? "1" : `${v} (${v > 1 ? more : less})`) });
const choice = (name, label, choices) => ({ kind: "choice", name, label, choices });

const CONTROLS = [
  slider("right", "Shift to the right", 16, 0.5, "pixels"),
  slider("down", "Shift down", 16, 0.5, "pixels"),
  slider("angle", "Rotation", 180, 5, "degrees"),
  { ...slider("shear", "Shear", SHEARS.length - 1), min: 0, step: 1, text: String,
    to: (v) => SHEARS.findLastIndex((s) => s <= v), from: (place) => SHEARS[place] },
  zoom("across", "Zoom of rows", "narrower", "wider"),
  zoom("along", "Zoom of columns", "lower", "higher"),
  choice("unit", "Unit of the shear", { degrees: "degrees, since 2017", radians: "radians" }),
  choice("fill", "Fill mode", { nearest: "nearest edge", constant: "0, the mean colour" }),
  choice("order", "Order", { "turn first": "turn, shift, shear, zoom, as in Keras",
    "zoom first": "zoom, shear, shift, turn" }),
  choice("between", "Between pixels", { 1: "mix four (order 1)", 0: "the nearest (order 0)" }),
  { kind: "check", name: "flip", label: "Flip, after all others" },
  { kind: "button", name: "picture", label: "Next picture" },
].map((control) => ({ text: String, to: SAME, from: SAME, ...control }));

function paint(canvas, values) {
  const rgba = Uint8ClampedArray.from({ length: 4 * SIZE * SIZE }, (_, i) =>
    (i % 4 < 3 ? values[3 * (i >> 2) + (i % 4)] : 255));
  canvas.getContext("2d").putImageData(new ImageData(rgba, SIZE, SIZE), 0, 0);
}

export default widget("explorer", (model, root) => {
  const pixels = Uint8Array.from(atob(model.get("images")), (c) => c.charCodeAt(0));
  const one = SIZE * SIZE * 3, find = (selector) => root.querySelector(selector);
  root.innerHTML = panel({ controls: CONTROLS, series: [] });
  keepKeys(root);
  find("figure").innerHTML = ["The picture", "Augmented"].map((name) => `<canvas role="img"
    width="${SIZE}" height="${SIZE}" aria-label="${name}" style="width:min(47%,16rem);
    image-rendering:pixelated;margin-right:2%"></canvas>`).join("");
  const [before, after] = root.querySelectorAll("canvas");

  function refresh() {
    const settings = Object.fromEntries(CONTROLS.map(({ name }) => [name, model.get(name)]));
    for (const input of root.querySelectorAll("input")) {
      const { name, to, text } = CONTROLS.find((c) => c.name === input.dataset.setting);
      input.checked = settings[name] === true || settings[name] === input.value;
      if (input.type !== "range") continue;
      input.value = to(settings[name]);
      input.ariaValueText = find(`[data-text=${name}]`).textContent = text(settings[name]);
    }
    const start = (settings.picture % (pixels.length / one)) * one;
    const picture = pixels.subarray(start, start + one);
    const { values, outside } = moved(picture, settings, model.get("mean"));
    paint(before, picture), paint(after, values);
    const change = values.reduce((sum, v, i) => sum + Math.abs(v - picture[i]), 0) / one;
    const shift = Math.abs(MIDDLE * Math.sin(leaning(settings))), gone = outside / SIZE ** 2;
    const said = find(".status").textContent = "The shear moves the top and the bottom row by " +
      `${short(shift)} pixels against the middle. A grey level changes by ${short(change)} of ` +
      `255 on average, and ${short(100 * gone)} % of the pixels have no source.`;
    after.ariaLabel = `Augmented. ${said}`;
    const corners = [["top left", -1, -1], ["top right", 1, -1], ["bottom right", 1, 1]].map(
      ([name, h, v]) => `<tr><th>${name}<td>${source(h * MIDDLE, v * MIDDLE, settings).map(
        (c) => (c + MIDDLE).toFixed(2).replace("-", "−")).join("<td>")}`);
    find("table").innerHTML = `<thead><tr><th>corner<th>column of its source<th>row<tbody>${
      corners.join("")}`;
    root.ariaBusy = false;
  }
  const set = (name, value) => { model.set(name, value); model.save_changes(); };
  root.addEventListener("input", ({ target }) => {
    const { name, kind, from } = CONTROLS.find((c) => c.name === target.dataset.setting);
    const value = { choice: target.value, slider: from(+target.value), check: target.checked };
    set(name, value[kind]);
  });
  find("button").onclick = () => set("picture", model.get("picture") + 1);
  const events = CONTROLS.map(({ name }) => `change:${name}`).join(" ");
  model.on(events, refresh);
  refresh();
  return () => model.off(events, refresh);
});
