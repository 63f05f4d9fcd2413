// What a fire module costs, counted as in course_lib/measure/counting.py: every weight of a
// convolution is used once at every place of the map. Biases are no multiplications.

// A layer of `filters`, each reading `reads` channels through a kernel of `area`.
const layer = (name, reads, area, filters, size) => {
  const weights = reads * area * filters;
  return { name, reads, area, filters, weights, biases: filters, macs: weights * size ** 2 };
};
const total = (layers, what) => layers.reduce((sum, one) => sum + one[what], 0);

export function costs({ channels, squeeze, expand1, expand3, size }) {
  const layers = [layer("squeeze 1×1", channels, 1, squeeze, size),
    layer("expand 1×1", squeeze, 1, expand1, size), layer("expand 3×3", squeeze, 9, expand3, size)];
  const plain = layer("plain 3×3", channels, 9, expand1 + expand3, size);
  const fire = { name: "fire module", reads: channels, filters: expand1 + expand3,
    ...Object.fromEntries(["weights", "biases", "macs"].map((k) => [k, total(layers, k)])) };
  // Each squeeze filter costs what reads it and what it reads.
  const each = channels + expand1 + 9 * expand3;
  return { layers, fire, plain, each, even: plain.weights / each, squeeze };
}

const whole = (number) => Math.round(number).toLocaleString("en-US");
const times = (ratio) => Number(ratio.toPrecision(2)).toLocaleString("en-US");

const count = (name, label, most = 512, least = 1) =>
  ({ kind: "slider", name, label, min: least, max: most });

export default explorer({
  title: "Weights by the width of the squeeze",
  series: ["fire module", "plain 3×3 convolution"],
  controls: [
    count("channels", "Channels in"), count("squeeze", "Squeeze filters"),
    count("expand1", "Expand filters 1×1", 512, 0), count("expand3", "Expand filters 3×3"),
    count("size", "Side of the map", 112),
  ],
  *compute(settings) { return costs(settings); },
  say({ fire, plain, even, squeeze }) {
    const [more, less] = [plain.weights / fire.weights, fire.weights / plain.weights].map(times);
    const verdict = fire.weights < plain.weights ? `${more} times fewer than`
      : fire.weights > plain.weights ? `${less} times as many as` : "as many as";
    const last = Math.ceil(even) - 1; // the last number of squeeze filters that saves anything
    return `${whole(fire.weights)} weights and ${whole(fire.macs)} multiplications: ${verdict} the ${
      whole(plain.weights)} and ${whole(plain.macs)} of a plain 3×3 convolution with as many outputs. ${
      last ? `It is the cheaper one up to ${whole(last)} squeeze filter${last > 1 ? "s" : ""}.`
        : "With these numbers no squeeze saves anything."} ${squeeze < fire.filters
      ? "It squeezes: fewer channels between than behind."
      : "It is no squeeze: as many channels between as behind, or more."}`;
  },
  draw(shown, before) {
    const both = [before, shown].filter(Boolean);
    const most = Math.max(...both.map((c) => Math.ceil(Math.max(1.25 * c.even, 1.1 * c.squeeze, 8))));
    const lines = both.flatMap((c) => [
      { series: 0, before: c !== shown, marks: c === shown ? [[c.squeeze, c.fire.weights]] : [],
        points: Array.from({ length: most }, (_, i) => [i + 1, c.each * (i + 1)]) },
      { series: 1, before: c !== shown, points: [[0, c.plain.weights], [most, c.plain.weights]] }]);
    return { lines, most, ticks: ticks(most), range: [shown.each], up: "weights",
      across: "squeeze filters" };
  },
  table: ({ layers, fire, plain }) => [["layer", "reads", "filters", "weights", "multiplications",
    "with biases"], ...[...layers, fire, plain].map((one) => [one.name, whole(one.reads),
    whole(one.filters), whole(one.weights), whole(one.macs), whole(one.weights + one.biases)])],
});
