// The reader as schedule: at every fork of the recorded runs one stops, and lowers the rate or not.

const until = (drops, at) => String(drops.filter((epoch) => epoch < at));

// What can be done after `at` epochs, when the rate fell after those in `drops`. run: whose curve
// has led here; stay, lower: the run that goes on so, if one was recorded; next: the epoch of the
// fork after that, or of the end, for either.
export function fork(runs, drops, at) {
  const here = runs.filter((run) => until(run.drops, at) === until(drops, at));
  const end = here[0].cross_entropy.length;
  const ways = [false, true].map((lowered) =>
    here.filter((run) => at < end && run.drops.includes(at) === lowered));
  const next = ways.map((which) => Math.min(end, ...which.flatMap((run) =>
    run.drops.filter((epoch) => epoch > at))));
  return { run: here[0], end, stay: ways[0][0], lower: ways[1][0], next };
}

// The first epoch after which there is something to choose.
export const beginning = (runs) =>
  Math.min(...runs.flatMap((run) => [...run.drops, run.cross_entropy.length]));

const fixed = (value, digits = 2) => value.toFixed(digits);
const percents = (values) => values.map((v) => fixed(v, 1)).join(", ");

export function say({ run, end, stay, lower }, drops, at, rate) {
  const i = at - 1, before = Math.max(0, i - 3);
  const moved = (curve) => `from ${fixed(run[curve][before])} to ${fixed(run[curve][i])}`;
  const current = Number((rate / 10 ** drops.length).toPrecision(3));
  const now = [`After epoch ${at} of ${end}, at a rate of ${current}.`,
    `Since epoch ${before + 1} the training loss went ${moved("cross_entropy")},`,
    `the validation loss ${moved("validation_cross_entropy")};`,
    `now ${fixed(run.validation_accuracy[i], 1)} % of the validation pictures are right.`].join(" ");
  if (at >= end) {
    return `${now} The end: ${percents(run.finals)} % of the test pictures (${run.source}${
      run.finals.length > 1 ? `, then ${run.finals.length - 1} more` : ""}).`;
  }
  return `${now}${stay ? "" : " Going on at this rate was not recorded."}${
    lower ? "" : " Lowering it here was not recorded."}`;
}

// The losses as far as epoch `at`, with room up to the end; training dashed, validation solid.
function picture({ run, end }, drops, at, [low, high], width, text) {
  const left = 40, right = width - 12, top = 26, bottom = 220;
  const x = (epoch) => left + ((epoch - 1) / (end - 1)) * (right - left);
  const y = (v) => bottom - ((v - low) / (high - low)) * (bottom - top);
  // What lies above the picture, as the first epochs may, is left out.
  const path = (values) => values.slice(0, at).map((v, i) => [v, i]).filter(([v]) => v <= high)
    .map(([v, i], k) => `${k ? "L" : "M"}${x(i + 1)} ${y(v)}`).join("");
  const grid = [0, 1, 2, 3, 4].map((i) => low + (i * (high - low)) / 4).map((v) => `<path
    class="grid" d="M${left} ${y(v)}H${right}"/><text text-anchor="end" x="${left - 6}"
    y="${y(v) + 4}">${fixed(v)}</text>`);
  const falls = drops.map((epoch) => `<path class="grid" d="M${x(epoch + 0.5)} ${top}V${bottom}"/>
    <text text-anchor="middle" x="${x(epoch + 0.5)}" y="${top - 6}">rate ÷ 10</text>`);
  return `<svg role="img" aria-label="${escaped(`Loss by epoch. ${text}`)}" width="${width}"
    height="262"><text x="0" y="12">loss</text>${grid.join("")}${falls.join("")}
    <text x="${x(1)}" y="${bottom + 18}">1</text><text x="${x(end)}" y="${bottom + 18}"
    text-anchor="end">epoch ${end}</text>
    <g class="series-0"><path class="before" d="${path(run.cross_entropy)}"/></g>
    <g class="series-1"><path class="line" d="${path(run.validation_cross_entropy)}"/></g></svg>`;
}

export default widget("explorer", (model, root) => {
  const runs = model.get("runs"), find = (selector) => root.querySelector(selector);
  // The first two epochs fall so far that the rest would lie flat.
  const late = runs.flatMap((run) => [run.cross_entropy, run.validation_cross_entropy])
    .flatMap((curve) => curve.slice(Math.min(2, curve.length - 1)));
  const range = [Math.floor(10 * Math.min(...late)) / 10, Math.ceil(10 * Math.max(...late)) / 10];
  const now = () => [model.get("drops"), model.get("at") || beginning(runs)];
  const ended = new Set();
  root.innerHTML = `<p class="controls"><button type="button" class="stay">Go on at this rate</button>
    <button type="button" class="lower">Lower it tenfold, go on</button>
    <button type="button" class="again">Start again</button></p>
    <p class="status" aria-live="polite"></p><figure class="chart"></figure>
    <div class="legend"><span>dashed: training, solid: validation</span></div>
    <details open><summary>The schedules you have driven to the end</summary><table></table></details>`;
  keepKeys(root);

  function show() {
    const [drops, at] = now(), here = fork(runs, drops, at);
    const text = say(here, drops, at, model.get("rate"));
    if (at >= here.end) ended.add(here.run);
    find(".status").textContent = text;
    for (const way of ["stay", "lower"]) find(`.${way}`).disabled = !here[way];
    const width = Math.max(root.clientWidth, 280);
    find("figure").innerHTML = picture(here, drops, at, range, width, text);
    find("details").hidden = !ended.size;
    find("table").innerHTML = `<thead><tr><th>rate lowered after<th>validation loss<th>validation, %
      <th>test, %<tbody>${[...ended].map((run) => `<tr><th>${run.drops.join(", ") || "never"}<td>${
      fixed(run.validation_cross_entropy.at(-1))}<td>${fixed(run.validation_accuracy.at(-1), 1)}<td>${
      percents(run.finals)}`).join("")}`;
  }
  function go(drops, at) {
    model.set("drops", drops);
    model.set("at", at);
    model.save_changes();
  }
  const step = (lowered) => {
    const [drops, at] = now();
    go(lowered ? [...drops, at] : drops, fork(runs, drops, at).next[lowered]);
    const pressed = find(lowered ? ".lower" : ".stay");
    if (pressed.disabled) find("button:not(:disabled)").focus(); // or the keyboard is lost
  };
  find(".stay").addEventListener("click", () => step(0));
  find(".lower").addEventListener("click", () => step(1));
  find(".again").addEventListener("click", () => go([], 0));
  const observer = new ResizeObserver(show);
  model.on("change:at change:drops", show);
  observer.observe(root);
  show();
  return () => { observer.disconnect(); model.off("change:at change:drops", show); };
});
