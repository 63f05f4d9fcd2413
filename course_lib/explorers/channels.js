// The channels of a DenseNet for 32x32 pictures, layer by layer, and what each costs, as
// course_lib/models/densenet.py builds it and course_lib/measure/counting.py counts it.

const STEM = 16, CLASSES = 10;
const thousands = (n) => n.toLocaleString("en-US");
const millions = (n) => `${(n / 1e6).toFixed(1)} million`;

// A row for each layer: what it reads and passes on in channels, the side of its map, its
// parameters (those of batch normalisation too, four a channel) and multiply-accumulates.
export function rows({ first, second, third, growth, bottleneck, compression }) {
  const found = [], inner = bottleneck * growth;
  let channels = STEM, size = 32;
  const row = (name, block, reads, passes, parameters, perPlace) => found.push({ name, block, reads,
    passes, size, parameters, macs: perPlace * size ** 2 });
  row("conv1", 0, 3, STEM, 27 * STEM + STEM + 4 * STEM, 27 * STEM);
  for (const [b, depth] of [first, second, third].entries()) {
    for (let k = 1; k <= depth; k++) {
      const kernels = channels * inner + 9 * inner * growth;
      row(`block${b + 1}layer${k}`, b + 1, channels, channels + growth,
        4 * (channels + inner) + kernels, kernels);
      channels += growth;
    }
    const kept = Math.floor(compression * channels);
    row(`transition${b + 1}`, b + 1, channels, kept, 4 * channels + channels * kept,
      channels * kept);
    channels = kept, size /= 2;
  }
  size = 1; // after global average pooling
  row("classes", 4, channels, CLASSES, 4 * channels + (channels + 1) * CLASSES, channels * CLASSES);
  return found;
}

const total = (list, what) => list.reduce((sum, row) => sum + row[what], 0);

export default explorer({
  title: "Channels that each layer reads, its parameters and its multiply-accumulates",
  series: ["channels that it reads", "parameters", "multiply-accumulates"],
  controls: [
    ...["first", "second", "third"].map((name) => ({ kind: "slider", name, min: 1, max: 16,
      label: `Layers of the ${name} block` })),
    { kind: "slider", name: "growth", label: "Growth k", min: 4, max: 48, step: 4 },
    { kind: "slider", name: "bottleneck", label: "Bottleneck, times k", min: 1, max: 8 },
    { kind: "slider", name: "compression", label: "Compression", min: 0.25, max: 1, step: 0.25 },
  ],
  *compute(settings) {
    return rows(settings);
  },
  say(list, { third, growth }) {
    const ends = list.filter(({ name }) => name.startsWith("transition"));
    const last = list.find(({ name }) => name === `block3layer${third}`);
    return `${thousands(total(list, "parameters"))} parameters, ${
      millions(total(list, "macs"))} multiply-accumulates. The blocks end with ${
      ends.map(({ reads }) => thousands(reads)).join(", ")} channels, the transitions pass on ${
      ends.map(({ passes }) => thousands(passes)).join(", ")}. The last layer of block 3 reads ${
      thousands(last.reads)} and adds ${growth}.`;
  },
  draw(list, before) {
    const kinds = ["reads", "parameters", "macs"];
    const lines = [before, list].filter(Boolean).flatMap((rowsOf) => kinds.map((kind, series) => ({
      series, before: rowsOf !== list, points: rowsOf.map((row, i) => [i, row[kind]]) })));
    const places = list.map(({ block }, i) => [i, block]);
    const names = ["block 1", "block 2", "block 3", "classes"]; // conv1 stands too close
    return { lines, most: Math.max(...lines.map(({ points }) => points.length - 1)),
      ticks: names.map((name, i) => [places.find(([, b]) => b === i + 1)[0], name]),
      range: [10, 1e6], up: "of each layer", across: "" };
  },
  table: (list) => [["layer", "reads", "passes on", "map", "parameters", "multiply-accumulates"],
    ...list.map(({ name, reads, passes, size, parameters, macs }) => [name,
      ...[reads, passes].map(thousands), `${size}×${size}`, ...[parameters, macs].map(thousands)])],
});
