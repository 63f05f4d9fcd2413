// A reader's prediction: what was said is kept in the page, and the result unfolds after it.

const memory = new Map(); // where the browser keeps nothing: until the page is left

function recall(place) {
  try {
    return JSON.parse(localStorage.getItem(place)) ?? memory.get(place) ?? null;
  } catch {
    return memory.get(place) ?? null;
  }
}

function keep(place, said) {
  memory.set(place, said);
  try {
    localStorage.setItem(place, JSON.stringify(said));
  } catch { /* no storage here, or none left */ }
  window.dispatchEvent(new CustomEvent("course-prediction", { detail: place }));
}

const marked = (text) => escaped(text).replace(/`([^`]*)`/g, "<code>$1</code>");
const number = (v) => (Math.abs(v) >= 1 || v === 0
  ? v.toLocaleString("en", { maximumFractionDigits: 2 }) : short(v, 3));

function form({ question, numbers, choices, unit, known }) {
  const page = `prediction-${Math.random().toString(36).slice(2)}`;
  const fields = [
    ...numbers.map((name, i) => `<label>${marked(name)} <input type="number" step="any" name="${i}"
      required> ${marked(unit)}</label>`),
    ...choices.map((name, i) => `<label><input type="radio" name="${page}" value="${i}" required>
      ${marked(name)}</label>`),
  ].join("");
  return `<form><fieldset><legend><strong>Predict.</strong> ${marked(question)}</legend>${fields}
    </fieldset><p class="controls"><button>Commit</button>${known ? `<button type="button"
    class="skip">Show without predicting</button>` : ""}<small>What you say stays in this
    browser.</small></p></form>`;
}

// What was said beside what came out. said: {values} by the order of names, or {skipped}.
function outcome({ question, numbers, choices, unit, results, right, because, known }, said) {
  const { values } = said, of = (v) => `${number(v)} ${marked(unit)}`;
  let text = "";
  if (numbers.length) {
    const heads = ["", values && "you said", known && "result", values && known && "off by"];
    const rows = numbers.map((name, i) => [marked(name), values && of(values[i]),
      known && of(results[i]), values && known && of(Math.abs(values[i] - results[i]))]);
    const row = ([first, ...rest], tag) => `<tr>${
      first ? `<th scope="row">${first}</th>` : "<td></td>"}${
      rest.filter(Boolean).map((cell) => `<${tag}>${cell}</${tag}>`).join("")}</tr>`;
    text = `<table><thead>${row(heads, "th")}</thead><tbody>${
      rows.map((cells) => row(cells, "td")).join("")}</tbody></table>`;
  } else {
    const said = values ? `You said: <strong>${marked(choices[values[0]])}</strong>. ` : "";
    text = `<p>${said}${right ? `It is: <strong>${marked(right)}</strong>.` : ""}</p>`;
  }
  return `<p><strong>${values ? "You predicted." : "Shown without a prediction."}</strong> ${
    marked(question)}</p>${text}<p>${known ? marked(because) : "The result is not in yet."}</p>
    <button type="button" class="again">Predict anew</button>`;
}

// What was kept may be of an older page, with other names.
const fits = (said, { numbers, choices }) => said?.skipped || (numbers.length
  ? said?.values?.length === numbers.length : said?.values?.[0] in choices);

export default widget("prediction", (model, root) => {
  const names = ["question", "numbers", "choices", "unit", "results", "right", "because"];
  const place = `course-prediction ${location.pathname} ${model.get("key")}`;
  const find = (selector) => root.querySelector(selector);
  root.tabIndex = -1; // takes the focus when what had it has gone
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "A prediction");

  function show() {
    const state = Object.fromEntries(names.map((name) => [name, model.get(name)]));
    const { numbers, results, right, because } = state;
    state.known = Boolean(numbers.length ? results.length : right || because);
    const said = recall(place), had = root.contains(document.activeElement);
    root.innerHTML = fits(said, state) ? outcome(state, said) : form(state);
    keepKeys(root);
    if (had) root.focus();
    find(".again")?.addEventListener("click", () => keep(place, null));
    find(".skip")?.addEventListener("click", () => keep(place, { skipped: true }));
    find("form")?.addEventListener("submit", (event) => {
      event.preventDefault();
      const inputs = [...root.querySelectorAll("input")];
      keep(place, { values: inputs.filter((input) => input.type === "number" || input.checked)
        .map((input) => +input.value) });
    });
  }
  const heard = ({ detail }) => { if (detail === place) show(); };
  const events = names.map((name) => `change:${name}`).join(" ");
  window.addEventListener("course-prediction", heard);
  model.on(events, show);
  show();
  return () => { window.removeEventListener("course-prediction", heard); model.off(events, show); };
});
