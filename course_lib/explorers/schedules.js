// Learning rates as functions of the epoch, counted from 0, as in course_lib/schedules.py.

// epochs / by to the nearest whole number; a half goes up.
const shortened = (epochs, by) => Math.floor((2 * epochs + by) / (2 * by));

// A staircase: from each epoch on, its rate; every drop comes `late` epochs late.
const steps = (rates, late = 0) => (epoch) =>
  rates.findLast(([start]) => epoch >= (start ? start + late : 0))[1];

const polynomial = (rate, power, epochs) => (epoch) => rate * (1 - epoch / epochs) ** power;

const RATE = 0.01;
const RESNET = [[0, 1e-3], [80, 1e-4], [120, 1e-5], [160, 1e-6], [180, 5e-7]]; // of 200 epochs

// The rate of every epoch under the reader's settings.
export function rates({ kind, epochs, drops, power, late }) {
  const starts = Array.from({ length: drops + 1 }, (_, i) =>
    [shortened(i * epochs, drops + 1), RATE / 10 ** i]);
  const stretched = RESNET.map(([start, rate]) => [shortened(start * epochs, 200), rate]);
  const schedule = { drops: () => steps(starts), polynomial: () => polynomial(RATE, power, epochs),
    resnet: () => steps(stretched, late ? 1 : 0) }[kind]();
  return Array.from({ length: epochs }, (_, epoch) => schedule(epoch));
}

const rated = (rate) => (rate < 1e-4 ? short(rate, 3) : String(Number(rate.toPrecision(3))));

// The epochs in a row that share a rate or, where a curve has one for each epoch, a power of ten
// below the first: [what they share, first epoch, epoch after the last].
export function spans(list) {
  const curve = new Set(list).size > 6;
  const name = (rate) => {
    const decade = Math.floor(Math.log10(list[0] / rate) + 1e-9);
    const [above, below] = [0, 1].map((more) => rated(list[0] / 10 ** (decade + more)));
    if (!curve) return rated(rate);
    return decade > 2 ? `less than ${rated(list[0] / 1000)}` : `${above} to ${below}`;
  };
  const found = [];
  list.forEach((rate, epoch) => {
    if (found.at(-1)?.[0] === name(rate)) found.at(-1)[2] = epoch + 1;
    else found.push([name(rate), epoch, epoch + 1]);
  });
  return found;
}

const share = (from, to, all) => `${Number((100 * (to - from) / all).toFixed(1))} %`;
const only = (...kinds) => ({ kind }) => kinds.includes(kind);

export default explorer({
  title: "Learning rate by epoch",
  series: ["rate"],
  controls: [
    { kind: "choice", name: "kind", label: "Schedule", choices: {
      drops: "Drops to a tenth", polynomial: "Polynomial", resnet: "ResNet staircase" } },
    { kind: "slider", name: "epochs", label: "Epochs", min: 10, max: 300, step: 10 },
    { kind: "slider", name: "drops", label: "Drops", min: 1, max: 4, when: only("drops") },
    { kind: "slider", name: "power", label: "Power", min: 0.5, max: 4, step: 0.5,
      when: only("polynomial") },
    { kind: "check", name: "late", label: "One epoch late: <code>epoch &gt; 80</code>",
      when: only("resnet") },
    { kind: "slider", name: "epoch", label: "Look at epoch", min: 0, max: 299 },
  ],
  *compute(settings) {
    const list = rates(settings), epoch = Math.min(settings.epoch, list.length - 1);
    return { list, epoch, spans: spans(list) };
  },
  say: ({ list, epoch, spans: found }) => `Epoch ${epoch}, of 0 to ${list.length - 1}, trains at ${
    rated(list[epoch])}. Of the whole training ${found.map(([name, from, to]) =>
    `${share(from, to, list.length)} at ${name}`).join(", ")}.`,
  draw(shown, before) {
    const lines = [before, shown].filter(Boolean).map(({ list, epoch }) => ({
      series: 0, stairs: true, before: list !== shown.list,
      points: [...list.map((rate, i) => [i, rate]), [list.length, list.at(-1)]],
      marks: list === shown.list ? [[epoch, list[epoch]]] : [] }));
    const most = Math.max(...lines.map(({ points }) => points.length - 1));
    return { lines, most, ticks: ticks(most), range: [1e-5, 0.01], up: "learning rate",
      across: "epoch" };
  },
  table: ({ list, spans: found }) => [["rate", "epochs", "share"],
    ...found.map(([name, from, to]) => [name,
      to - from === 1 ? `${from}` : `${from} to ${to - 1}`, share(from, to, list.length)])],
});
