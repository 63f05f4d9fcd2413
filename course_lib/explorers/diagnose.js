// "Diagnose this curve": recorded runs one after another; the reader names what happened.

// At which multiples of 1, 2 or 5 times a power of ten an axis from 0 to `most` is marked.
function marks(most) {
  const rough = most / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= rough);
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, i) => i * step);
}

// One picture, `width` pixels wide, from x = `from` on: training dashed, test solid, both from 0.
function picture(title, [training, test], from, width, down = 0) {
  const top = 34 + down, bottom = 190 + down, left = from + 34, right = from + width - 12;
  const most = Math.max(...training, ...test) * 1.05, last = test.length;
  const x = (epoch) => left + ((epoch - 1) / Math.max(last - 1, 1)) * (right - left);
  const y = (value) => bottom - (value / most) * (bottom - top);
  const path = (values) => values.map((v, i) => `${i ? "L" : "M"}${x(i + 1)} ${y(v)}`).join("");
  const grid = marks(most).map((v) => `<path class="grid" d="M${left} ${y(v)}H${right}"/>
    <text text-anchor="end" x="${left - 6}" y="${y(v) + 4}">${Number(v.toPrecision(2))}</text>`);
  return `<text x="${from}" y="${14 + down}">${title}</text>${grid.join("")}
    <text x="${x(1)}" y="${bottom + 18}">1</text>
    <text x="${x(last)}" y="${bottom + 18}" text-anchor="end">epoch ${last}</text>
    <g class="series-0"><path class="before" d="${path(training)}"/>
    <path class="line" d="${path(test)}"/></g>`;
}

const digits = (value) => Number(value.toPrecision(3));

// The loss and the accuracy of a case in numbers: what the picture shows, for who cannot see it.
export function facts(c) {
  const least = Math.min(...c.test_loss), best = c.test_loss.indexOf(least) + 1;
  return `${c.loss.length} epochs. Loss on the training images from ${digits(c.loss[0])} to ${
    digits(c.loss.at(-1))}; on the test images from ${digits(c.test_loss[0])} to ${
    digits(c.test_loss.at(-1))}, least in epoch ${best} with ${digits(least)}. Accuracy at the end: ${
    digits(c.accuracy.at(-1))} % of the training images, ${digits(c.test_accuracy.at(-1))} % of the test images.`;
}

function both(c, width) {
  const beside = width >= 560, each = beside ? width / 2 : width;
  const second = beside ? [each, each, 0] : [0, each, 220];
  return `<svg role="img" aria-label="${escaped(`Curves of a run. ${facts(c)}`)}" width="${width}"
    height="${beside ? 216 : 436}">${picture("loss", [c.loss, c.test_loss], 0, each)}${
    picture("accuracy, %", [c.accuracy, c.test_accuracy], ...second)}</svg>`;
}

export default widget("explorer", (model, root) => {
  const cases = model.get("cases"), faults = model.get("faults"), said = {};
  const page = `diagnose-${Math.random().toString(36).slice(2)}`;
  const find = (selector) => root.querySelector(selector);
  const now = () => Math.min(model.get("place"), cases.length - 1);
  if (!cases.length) throw new Error("it has no curves");
  root.innerHTML = `<p class="which"></p><figure class="chart"></figure>
    <div class="legend"><span>dashed: training images, solid: test images</span></div>
    <form><fieldset><legend>What happened here?</legend>${faults.map((fault, i) =>
    `<label><input type="radio" name="${page}" value="${i}" required> ${escaped(fault)}</label>`)
    .join("")}</fieldset><p class="controls"><button>Diagnose</button>
    <button type="button" class="back">Curve before</button>
    <button type="button" class="next">Next curve</button></p></form>
    <p class="status" aria-live="polite"></p>
    <details><summary>The numbers</summary><table></table></details>`;
  keepKeys(root);

  const paint = () => {
    find("figure").innerHTML = both(cases[now()], Math.max(root.clientWidth, 280));
  };
  function show() {
    const at = now(), c = cases[at], right = Object.entries(said).filter(([i, fault]) =>
      cases[i].fault === fault).length;
    const told = Object.keys(said).length ? `; ${right} of ${Object.keys(said).length} right` : "";
    find(".which").textContent = `Curve ${at + 1} of ${cases.length}${told}.`;
    const answer = said[at] === c.fault ? "Yes" : `No, not “${said[at]}”`;
    find(".status").textContent = !said[at] ? "What do you see?"
      : `${answer}: ${c.fault}. ${c.because} (${c.source})`;
    find(".back").disabled = at === 0;
    find(".next").disabled = at === cases.length - 1;
    for (const input of root.querySelectorAll("input")) {
      input.checked = faults[input.value] === said[at];
    }
    const every = Math.ceil(c.loss.length / 12);
    const rows = c.loss.map((_, i) => [i + 1, c.loss[i], c.test_loss[i], c.accuracy[i],
      c.test_accuracy[i]]).filter(([epoch]) => epoch % every === 0 || epoch === 1);
    find("table").innerHTML = `<thead><tr>${["epoch", "loss", "test loss", "accuracy, %",
      "test accuracy, %"].map((name) => `<th>${name}`).join("")}<tbody>${rows.map(([first, ...rest]) =>
      `<tr><th>${first}<td>${rest.map(digits).join("<td>")}`).join("")}`;
    paint();
  }
  const go = (by) => { model.set("place", now() + by); model.save_changes(); };
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    said[now()] = faults[find("input:checked").value];
    show();
  });
  find(".back").addEventListener("click", () => go(-1));
  find(".next").addEventListener("click", () => go(1));
  const observer = new ResizeObserver(paint);
  model.on("change:place", show);
  observer.observe(root);
  show();
  return () => { observer.disconnect(); model.off("change:place", show); };
});
