// SqueezeNet's maps for 32 x 32 pictures, stage by stage, as in course_lib/models/squeezenet.py.

const FIRES = [[16, 64], [16, 64], [32, 128], [32, 128], [48, 192], [48, 192], [64, 256], [64, 256]];
const NAMES = ["conv1", ...FIRES.map((_, i) => `fire${i + 2}`), "conv10"];

// The share of a 3x3 filter's taps that fall on padding "same", over all places of a square map.
function padded(side, stride) {
  const out = Math.ceil(side / stride), before = Math.floor(((out - 1) * stride + 3 - side) / 2);
  let inside = 0;
  for (let place = 0; place < out; place++) {
    for (let tap = 0; tap < 3; tap++) {
      const at = place * stride - before + tap;
      if (at >= 0 && at < side) inside += 1;
    }
  }
  return 1 - (inside / (3 * out)) ** 2;
}

// Each stage: the side of its map, multiply-accumulates, and the share of padding that its 3x3
// filters read (none where it has no such filter). Those of the dense layer are in `macs`.
export function stages({ stride, pool1, pool4, pool8 }) {
  const pools = { conv1: +pool1, fire4: +pool4, fire8: +pool8 }, first = +stride;
  let side = Math.ceil(32 / first), channels = 96;
  const found = [{ name: "conv1", side, macs: side ** 2 * 9 * 3 * 96, padding: padded(32, first) }];
  const pool = (name) => { side = Math.ceil(side / (pools[name] || 1)); };
  pool("conv1");
  FIRES.forEach(([squeeze, expand], i) => {
    const macs = side ** 2 * (channels * squeeze + squeeze * expand * 10), name = `fire${i + 2}`;
    found.push({ name, side, macs, padding: padded(side, 1) });
    channels = 2 * expand;
    pool(name);
  });
  found.push({ name: "conv10", side, macs: side ** 2 * channels * 10 });
  const blurs = Object.keys(pools).filter((name) => pools[name] === 1);
  return { stages: found, macs: found.reduce((sum, s) => sum + s.macs, 100), blurs };
}

const PAPER = stages({ stride: 2, pool1: 2, pool4: 2, pool8: 2 }).macs;
const percent = (share) => `${Math.round(100 * share)} %`;
const millions = (macs) => `${(macs / 1e6).toFixed(1)} million`;
const side = (s) => `${s}×${s}`;
const COUNTS = ["no halving", "one halving", "two halvings", "three halvings", "four halvings"];

const pool = (name, after) => ({ kind: "choice", name, label: `Max-pool after ${after}`,
  choices: { 2: "halves", 1: "stride 1", 0: "none" } });

export default explorer({
  title: "Side of the map and share of padding by stage",
  series: ["side of the map, pixels", "of what 3×3 filters read: padding, %"],
  controls: [
    { kind: "choice", name: "stride", label: "conv1", choices: { 2: "halves", 1: "stride 1" } },
    pool("pool1", "conv1"), pool("pool4", "fire4"), pool("pool8", "fire8"),
  ],
  *compute(settings) { return stages(settings); },
  say({ stages: found, macs, blurs }) {
    const [fire2, fire9] = [found[1], found.at(-2)], times = macs / PAPER;
    const halved = Math.log2(32 / fire9.side);
    const cost = Math.abs(times - 1) < 0.005 ? "as many as" : `${times.toFixed(1)} times those of`;
    const blur = blurs.length ? ` The max-pool of stride 1 after ${blurs.join(" and ")} costs no ` +
      "place, but each place then holds the largest of its 3×3 neighbours: detail goes." : "";
    return `With ${COUNTS[halved]} the first fire module sees maps of ${side(fire2.side)} and the ` +
      `last of ${side(fire9.side)}, where ${percent(fire9.padding)} of what its 3×3 filters read ` +
      `is padding. ${millions(macs)} multiplications a picture, ${cost} the paper's layout.${
        blur}`;
  },
  draw(shown, before) {
    const lines = [before, shown].filter(Boolean).flatMap((result) => {
      const each = result.stages.map((s, i) => [[i, s.side], [i, 100 * s.padding]]);
      return [0, 1].map((series) => {
        const points = each.map((pair) => pair[series]).filter(([, value]) => !Number.isNaN(value));
        return { series, points, marks: result === shown ? points : [], before: result !== shown };
      });
    });
    return { lines, most: NAMES.length - 1, ticks: NAMES.map((name, i) => [i, name]),
      range: [1, 100], up: "pixels, %", across: "stage" };
  },
  table: ({ stages: found, macs }) => [["stage", "map", "padding", "multiplications"],
    ...found.map((s) => [s.name, side(s.side), s.padding === undefined ? "no 3×3" : percent(s.padding),
      s.macs.toLocaleString("en-US")]), ["all", "", "", macs.toLocaleString("en-US")]],
});
