// What a trained network takes a class for: one row or one column of its confusion matrix.

// The answers to one class (or the classes that get one answer), most frequent first, those of the
// class itself too: {total, right, others: [{name, count}]}.
export function answers({ matrix, classes, chosen, way }) {
  const counts = way === "truth" ? matrix[chosen] : matrix.map((row) => row[chosen]);
  const others = counts.map((count, i) => ({ name: classes[i], count }))
    .filter(({ count }, i) => count && i !== chosen).sort((a, b) => b.count - a.count);
  return { total: counts.reduce((sum, n) => sum + n, 0), right: counts[chosen], others };
}

const named = ({ name, count }) => `${name} ${count}`;

export function say({ total, right, others }, name, way) {
  const share = total ? ` (${Math.round((100 * right) / total)} %)` : "";
  const first = others.slice(0, 3).map(named).join(", ");
  if (way === "truth") {
    return `Of ${total} pictures of “${name}” ${right} are called so${share}. ${
      others.length ? `Most often taken for: ${first}.` : "None is taken for anything else."}`;
  }
  return `“${name}” is the answer to ${total} pictures, ${right} of them rightly${share}. ${
    others.length ? `Most often wrongly for: ${first}.` : "It is never wrong."}`;
}

const MOST = 10; // bars; the table has all

function bars({ total, right, others }, name, width, text) {
  const rows = [{ name, count: right }, ...others.slice(0, MOST)];
  const most = Math.max(1, ...rows.map(({ count }) => count)), high = 24;
  const left = Math.min(0.46 * width, 8 + Math.max(...rows.map((r) => 6.6 * r.name.length)));
  const room = Math.floor(left / 6.6) - 1;
  const cut = (words) => (words.length > room ? `${words.slice(0, room - 1)}…` : words);
  const drawn = rows.map((row, i) => `<g class="series-${i ? 1 : 0}" transform="translate(0 ${
    i * high})"><text x="${left - 8}" y="16" text-anchor="end">${escaped(cut(row.name))}</text>
    <rect x="${left}" y="3" width="${(row.count / most) * (width - left - 40)}" height="17" ${
    i ? 'fill-opacity=".35" stroke="currentColor"' : ""}/><text y="16" x="${
    left + (row.count / most) * (width - left - 40) + 6}">${row.count}</text></g>`);
  return `<svg role="img" aria-label="${escaped(text)}" width="${width}" height="${
    rows.length * high + 4}">${drawn.join("")}</svg>`;
}

export default widget("explorer", (model, root) => {
  const classes = model.get("classes"), page = `confusion-${Math.random().toString(36).slice(2)}`;
  const find = (selector) => root.querySelector(selector);
  if (model.get("matrix").length !== classes.length) throw new Error("it has no counts");
  root.innerHTML = `<div class="controls"><span><label for="${page}">Class</label>
    <select id="${page}">${classes.map((name, i) => `<option value="${i}">${escaped(name)}</option>`)
    .join("")}</select></span><fieldset><legend>Show</legend>${[["truth", "what it is taken for"],
    ["answer", "what is taken for it"]].map(([value, text]) => `<label><input type="radio"
    name="${page}" value="${value}"> ${text}</label>`).join("")}</fieldset></div>
    <p class="status" aria-live="polite"></p><figure class="chart"></figure>
    <details><summary>The numbers</summary><table></table></details><p class="source"></p>`;
  keepKeys(root);
  find("select").dataset.lmSuppressShortcuts = 1;
  find(".source").textContent = model.get("source");

  function show() {
    const chosen = Math.min(model.get("chosen"), classes.length - 1), way = model.get("way");
    const name = classes[chosen];
    const found = answers({ matrix: model.get("matrix"), classes, chosen, way });
    const text = say(found, name, way);
    find("select").value = chosen;
    for (const input of root.querySelectorAll("input")) input.checked = input.value === way;
    find(".status").textContent = text;
    find("figure").innerHTML = bars(found, name, Math.max(root.clientWidth, 280), text);
    const rows = [{ name: `${name} (right)`, count: found.right }, ...found.others];
    find("table").innerHTML = `<thead><tr><th>${way === "truth" ? "answer" : "truth"}<th>pictures
      <tbody>${rows.map((row) => `<tr><th>${escaped(row.name)}<td>${row.count}`).join("")}`;
  }
  const change = (name, value) => { model.set(name, value); model.save_changes(); };
  find("select").addEventListener("change", ({ target }) => change("chosen", +target.value));
  find("fieldset").addEventListener("change", ({ target }) => change("way", target.value));
  const observer = new ResizeObserver(show);
  model.on("change:chosen change:way", show);
  observer.observe(root);
  show();
  return () => { observer.disconnect(); model.off("change:chosen change:way", show); };
});
