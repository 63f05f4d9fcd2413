// What the explorers share. anywidget takes one self-contained module and resolves no import of a
// neighbour, so kit.py puts this file before an explorer's own: what stands here is at hand there,
// and a name that both define is an error at once.

const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

// A number in two digits, or in so many as asked for.
const short = (v, digits = 2) => (v === 0 || (v >= 0.01 && v < 1000)
  ? String(Number(v.toPrecision(digits)))
  : v.toExponential(1).replace(".0e", "e").replace("e+", "e").replace("-", "−"));

const pause = (ms) => new Promise((resume) => setTimeout(resume, ms));

// On each control itself, or JupyterLab takes its arrow keys.
function keepKeys(root) {
  for (const e of root.querySelectorAll("input,button,summary")) e.dataset.lmSuppressShortcuts = 1;
}

// A widget for anywidget from start(model, root), which fills the root and returns what ends it.
const widget = (name, start) => ({
  render({ model, el }) {
    const root = el.appendChild(document.createElement("div"));
    root.className = `course-widget course-${name}`;
    try {
      return start(model, root);
    } catch (error) {
      root.textContent = `The ${name} cannot start: ${error.message}.`;
    }
  },
});

// Goes over every k x k window with padding "same", calling visit(place of the output, place of
// the input, place in the window). What does not divide evenly is padded at the bottom and on the
// right. Padding is not visited: a sum does not need its zeros, a maximum must not see them.
function windows({ count, size }, k, stride, visit) {
  const out = Math.ceil(size / stride);
  const before = Math.max((out - 1) * stride + k - size, 0) >> 1;
  for (let place = 0; place < count * out * out; place++) {
    const picture = Math.floor(place / (out * out));
    const top = (Math.floor(place / out) % out) * stride - before;
    const left = (place % out) * stride - before;
    for (let r = Math.max(top, 0); r < Math.min(top + k, size); r++) {
      for (let c = Math.max(left, 0); c < Math.min(left + k, size); c++) {
        visit(place, (picture * size + r) * size + c, (r - top) * k + c - left);
      }
    }
  }
}

const MARKS = ["M-4 0a4 4 0 1 1 8 0a4 4 0 1 1-8 0z", "M-6 0 0-6 6 0 0 6z", "M-4-4h8v8h-8z"];

// Whole numbers from 0 to `most`, some six of them, at steps of 1, 2 or 5 times a power of ten.
function ticks(most) {
  const rough = most / 6, power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, power * ([1, 2, 5].find((m) => m * power >= rough) ?? 10));
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => [i * step, i * step]);
}

// An SVG of our own and no plotting library: it takes the page's colours and its change to dark by
// itself, prints sharp and is 40 lines, where uPlot adds 51 KB to each widget's state, draws on a
// canvas that keeps its colours, and knows no axis of layers' names. Lines here have 300 points.
//
// The SVG, `width` pixels wide, of lines over a logarithmic axis. Each line of spec.lines: {series,
// points, stairs, marks, before}, the points [x, y] with x from 0 to spec.most. spec.ticks: [x,
// text]. spec.range: the least and the greatest value that the axis has room for in any case.
function chart(spec, width, text) {
  const values = spec.lines.flatMap(({ points }) => points.map(([, y]) => y)).concat(spec.range);
  const logs = values.map(Math.log10).filter(Number.isFinite);
  const low = Math.floor(Math.min(...logs)), high = Math.ceil(Math.max(...logs));
  const longest = Math.max(...spec.ticks.map(([, name]) => 7 * String(name).length));
  const left = 16 + 7 * `1e${low}`.length, right = width - longest / 2 - 6, top = 28, bottom = 250;
  const turned = longest + 6 > (right - left) / Math.max(spec.ticks.length - 1, 1);
  const x = (value) => left + (value / spec.most) * (right - left);
  // What died out has no logarithm: it lies on the axis.
  const y = (log) => bottom - ((Math.max(log, low) - low) / (high - low)) * (bottom - top);
  const place = ([at, value]) => [x(at), y(Math.log10(value))];
  const height = bottom + (turned ? longest * 0.9 + 34 : 44);
  let svg = `<text x="0" y="12">${escaped(spec.up)}</text><text x="${width - 2}" y="${height - 6}"
    text-anchor="end">${escaped(spec.across)}</text>`;
  for (let tick = high; tick >= low; tick -= Math.ceil((high - low) / 8)) {
    svg += `<path class="grid" d="M${left} ${y(tick)}H${right}"/><text text-anchor="end"
      x="${left - 8}" y="${y(tick) + 4}">${tick ? `1e${tick}`.replace("-", "−") : 1}</text>`;
  }
  for (const [at, name] of spec.ticks) {
    svg += `<text text-anchor="${turned ? "end" : "middle"}" transform="translate(${x(at)}
      ${bottom + 18}) rotate(${turned ? -60 : 0})">${escaped(name)}</text>`;
  }
  for (const { series, points, stairs, marks = [], before } of spec.lines) {
    const path = points.map(place).map(([h, v]) => (stairs ? `H${h}V${v}` : `L${h} ${v}`));
    svg += `<g class="series-${series}"><path class="${before ? "before" : "line"}" d="M${
      place(points[0])}${path.join("")}"/>${marks.map((mark) =>
      `<path d="${MARKS[series]}" transform="translate(${place(mark)})"/>`).join("")}</g>`;
  }
  return `<svg role="img" aria-label="${escaped(text)}" width="${width}" height="${height}">${
    svg}</svg>`;
}

// The kinds of controls: their HTML (`id` is the page's own), and what one of them holds.
const KINDS = {
  choice: ({ name, label, choices }, id) => `<fieldset><legend>${label}</legend>${
    Object.entries(choices).map(([value, text]) => `<label><input type="radio" name="${id}"
      data-setting="${name}" value="${value}"> ${text}</label>`).join("")}</fieldset>`,
  slider: ({ name, label, min, max, step = 1 }, id) => `<span><label for="${id}">${label}</label>:
    <span data-text="${name}" aria-hidden="true"></span><input type="range" id="${id}"
      data-setting="${name}" min="${min}" max="${max}" step="${step}"></span>`,
  check: ({ name, label }) => `<label><input type="checkbox" data-setting="${name}"> ${
    label}</label>`,
  button: ({ name, label }) => `<button type="button" data-setting="${name}">${label}</button>`,
};
const SAME = (value) => value;

function panel({ controls, series }) {
  const page = `explorer-${Math.random().toString(36).slice(2)}`;
  const parts = controls.map((c) => `<div data-control="${c.name}">${
    KINDS[c.kind](c, `${page}-${c.name}`)}</div>`).join("");
  const legend = series.map((label, i) => `<span><svg class="series-${i}" aria-hidden="true"><path
    d="${MARKS[i]}" transform="translate(6 6)"/></svg> ${label}</span>`).join("");
  return `<div class="controls">${parts}</div>
    <p class="status" aria-live="polite"></p><div class="legend">${legend}<span class="earlier"
    hidden>dashed: before</span><span class="busy" aria-hidden="true">computing …</span>
    </div>
    <figure class="chart"></figure>
    <details><summary>The numbers</summary><table></table></details>`;
}

// An explorer: controls set the model's traits, these are computed with, and the result is said,
// drawn and listed. The whole description of one:
//   controls: [{kind, name of the trait, label, when(settings)}], and beside those, by kind,
//     choice: choices {value: text}
//     slider: min, max, step, text(value); if it is no straight scale, to(value) and from(place)
//     button: next(value)
//   series: the label of each kind of line
//   prepare(model): once, what compute gets beside the settings
//   *compute(settings, prepared): returns the result, and yields wherever the page may breathe
//   say(result, settings): the result in words
//   draw(result, before or null): a spec for `chart`; title: what the picture shows
//   table(result): rows of cells; the first row and the first column are headings
const explorer = (spec) => widget("explorer", (model, root) => {
  const prepared = spec.prepare?.(model);
  const find = (selector) => root.querySelector(selector);
  const controls = Object.fromEntries(spec.controls.map((c) => [c.name, c]));
  const read = () => Object.fromEntries(Object.keys(controls).map((n) => [n, model.get(n)]));
  let run = 0, shown = null, before = null, dragging = false;
  root.innerHTML = panel(spec);
  keepKeys(root);

  const paint = () => {
    if (!shown) return;
    const width = Math.max(root.clientWidth, 280), said = find(".status").textContent;
    find("figure").innerHTML = chart(spec.draw(shown, before), width, `${spec.title}. ${said}`);
    find(".earlier").hidden = !before;
  };
  const report = (settings) => {
    find(".status").textContent = spec.say(shown, settings);
    const [head, ...rows] = spec.table(shown).map((row) => row.map(escaped));
    find("table").innerHTML = `<thead><tr><th>${head.join("<th>")}<tbody>${rows.map(
      ([first, ...rest]) => `<tr><th>${first}<td>${rest.join("<td>")}`).join("")}`;
  };
  // A later call makes earlier ones give up: nothing piles up while a slider is dragged.
  async function compute(settings) {
    const mine = ++run;
    root.ariaBusy = true;
    await pause(60);
    if (mine !== run) return;
    const work = spec.compute(settings, prepared);
    let step = work.next();
    for (; !step.done; step = work.next()) {
      await pause(0);
      if (mine !== run) return;
    }
    shown = step.value;
    root.ariaBusy = false;
    report(settings);
    paint();
  }
  // The model's traits are the truth; the controls follow them, also when Python sets one.
  function refresh() {
    const settings = read();
    if (!dragging) before = shown;
    for (const input of root.querySelectorAll("input")) {
      const control = controls[input.dataset.setting], value = settings[control.name];
      input.checked = value === true || value === input.value;
      if (input.type === "range") {
        input.value = (control.to ?? SAME)(value);
        const text = String((control.text ?? SAME)(value));
        find(`[data-text=${control.name}]`).textContent = text;
        input.setAttribute("aria-valuetext", text);
      }
    }
    for (const { name, when } of spec.controls) {
      find(`[data-control=${name}]`).hidden = when ? !when(settings) : false;
    }
    compute(settings);
  }
  const change = (name, value) => { model.set(name, value); model.save_changes(); };
  root.addEventListener("input", ({ target }) => {
    const { setting } = target.dataset, { kind, from = SAME } = controls[setting];
    const values = { choice: target.value, slider: from(+target.value), check: target.checked };
    change(setting, values[kind]);
    dragging = true; // until "change": a dragged slider is compared with where it started
  });
  root.addEventListener("change", () => { dragging = false; });
  for (const button of root.querySelectorAll("button")) {
    const { name, next } = controls[button.dataset.setting];
    button.addEventListener("click", () => change(name, next(model.get(name))));
  }
  const events = Object.keys(controls).map((name) => `change:${name}`).join(" ");
  const observer = new ResizeObserver(paint);
  model.on(events, refresh);
  observer.observe(root);
  refresh();
  return () => { run = NaN; observer.disconnect(); model.off(events, refresh); };
});
