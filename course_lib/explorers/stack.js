// A forward and a backward pass through models.resnet with width 4, at initialisation. Values lie as
// in Keras: picture, row, column, channel; kernels: row, column, input, output. A step of the pass
// leaves on the tape what takes it back.

const WIDTH = 4, EPSILON = 1e-3; // Keras' own for BN

const tensor = (count, size, channels, values = new Float64Array(count * size ** 2 * channels)) =>
  ({ count, size, channels, values, gradient: new Float64Array(values.length) });

// A kernel by He's rule: a bell that is cut at two deviations, and widened back as Keras does.
function heNormal(uniform, k, inputs, filters) {
  const deviation = Math.sqrt(2 / (k * k * inputs)) / 0.87962566103423978;
  const normal = () => {
    const z = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    return Math.abs(z) > 2 ? normal() : z;
  };
  return Float64Array.from({ length: k * k * inputs * filters }, () => deviation * normal());
}

function convolve(tape, x, kernel, k, stride, filters) {
  const y = tensor(x.count, Math.ceil(x.size / stride), filters), { values: w, gradient } = kernel;
  windows(x, k, stride, (to, from, tap) => {
    for (let i = 0; i < x.channels; i++) {
      const value = x.values[from * x.channels + i], at = (tap * x.channels + i) * filters;
      for (let f = 0; f < filters; f++) y.values[to * filters + f] += value * w[at + f];
    }
  });
  tape.push(() => windows(x, k, stride, (to, from, tap) => {
    for (let i = 0; i < x.channels; i++) {
      const place = from * x.channels + i, at = (tap * x.channels + i) * filters;
      for (let f = 0; f < filters; f++) {
        const error = y.gradient[to * filters + f];
        x.gradient[place] += error * w[at + f];
        gradient[at + f] += error * x.values[place];
      }
    }
  }));
  return y;
}

// Batch normalisation in training mode: each channel over pictures and places.
function normalise(tape, x) {
  const y = tensor(x.count, x.size, x.channels), n = x.values.length / x.channels;
  const each = (c, visit) => { for (let i = c; i < x.values.length; i += x.channels) visit(i); };
  for (let c = 0; c < x.channels; c++) {
    let mean = 0, variance = 0;
    each(c, (i) => { mean += x.values[i] / n; });
    each(c, (i) => { variance += (x.values[i] - mean) ** 2 / n; });
    const scale = 1 / Math.sqrt(variance + EPSILON);
    each(c, (i) => { y.values[i] = (x.values[i] - mean) * scale; });
    tape.push(() => {
      let sum = 0, along = 0;
      each(c, (i) => { sum += y.gradient[i] / n, along += y.gradient[i] * y.values[i] / n; });
      each(c, (i) => { x.gradient[i] += scale * (y.gradient[i] - sum - y.values[i] * along); });
    });
  }
  return y;
}

// y[i] = the sum of f(x[i]) over the tensors xs; slope(x[i]) is the derivative of f.
function pointwise(tape, xs, f, slope) {
  const [{ count, size, channels }] = xs, y = tensor(count, size, channels);
  for (const x of xs) x.values.forEach((v, i) => { y.values[i] += f(v); });
  tape.push(() => xs.forEach((x) =>
    x.values.forEach((v, i) => { x.gradient[i] += y.gradient[i] * slope(v); })));
  return y;
}

const size = (values) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);

// The softmax of the mean over places and a dense layer, and what it costs: {logits, loss}.
function* head(tape, x, kernel, labels) {
  const places = x.size ** 2, y = tensor(x.count, 1, x.channels);
  x.values.forEach((v, i) => {
    y.values[Math.floor(i / (places * x.channels)) * x.channels + i % x.channels] += v / places;
  });
  tape.push(() => x.values.forEach((_, i) => { x.gradient[i] +=
    y.gradient[Math.floor(i / (places * x.channels)) * x.channels + i % x.channels] / places; }));
  const logits = convolve(tape, y, kernel, 1, 1, 10);
  let loss = 0;
  labels.forEach((label, n) => {
    const row = logits.values.subarray(10 * n, 10 * n + 10), top = Math.max(...row);
    const total = row.reduce((sum, v) => sum + Math.exp(v - top), 0);
    loss += (top + Math.log(total) - row[label]) / labels.length;
    row.forEach((v, k) => { logits.gradient[10 * n + k] =
      (Math.exp(v - top) / total - (k === label)) / labels.length; });
  });
  while (tape.length) yield tape.pop()();
  return { logits: logits.values, loss };
}

// Both passes; yields wherever the page may breathe, and returns {rows, loss, kernels}.
export function* passes(images, labels, { kind, blocks, bn, seed }) {
  let state = Math.imul(seed + 1, 0x9e3779b1);
  const uniform = () => { // Marsaglia's xorshift
    state ^= state << 13, state ^= state >>> 17, state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const tape = [], kernels = {}, rows = [];
  const weights = (name, k, inputs, filters) => {
    const values = heNormal(uniform, k, inputs, filters);
    return kernels[name] = { values, gradient: new Float64Array(values.length) };
  };
  const conv = (x, filters, k, name, stride = 1) =>
    convolve(tape, x, weights(name, k, x.channels, filters), k, stride, filters);
  const relu = (x) => pointwise(tape, [x], (v) => Math.max(v, 0), (v) => +(v > 0));
  const norm = (x) => (bn ? normalise(tape, x) : x);
  const add = (x, y) => pointwise(tape, [x, y], (v) => v, () => 1);
  const basic = (x, filters, name, stride) => {
    let y = relu(norm(conv(x, filters, 3, `${name}_conv1`, stride)));
    y = norm(conv(y, filters, 3, `${name}_conv2`));
    if (kind === "v1") {
      y = add(stride > 1 ? conv(x, filters, 1, `${name}_projection`, stride) : x, y);
    }
    return relu(y);
  };
  const bottleneck = (x, inner, outer, name, stride, first) => {
    let y = conv(name === "stage1block1" ? x : relu(norm(x)), inner, 1, `${name}_conv1`, stride);
    y = conv(relu(norm(y)), inner, 3, `${name}_conv2`);
    y = conv(relu(norm(y)), outer, 1, `${name}_conv3`);
    return add(first ? conv(x, outer, 1, `${name}_projection`, stride) : x, y);
  };
  let x = relu(normalise(tape, conv(images, WIDTH, 3, "conv1")));
  rows.push({ name: "conv1", size: size(x.values) });
  for (let stage = 0; stage < 3; stage++) {
    for (let k = 0; k < blocks; k++) {
      const name = `stage${stage + 1}block${k + 1}`, stride = stage && !k ? 2 : 1;
      const inner = WIDTH * [1, 4, 8][stage], outer = WIDTH * [4, 8, 16][stage];
      x = kind === "v2" ? bottleneck(x, inner, outer, name, stride, !k)
        : basic(x, WIDTH * 2 ** stage, name, stride);
      rows.push({ name, size: size(x.values) });
      yield;
    }
  }
  if (kind === "v2") x = relu(normalise(tape, x));
  const { loss, logits } = yield* head(tape, x, weights("logits", 1, x.channels, 10), labels);
  for (const row of rows) {
    const { values, gradient } = kernels[row.name === "conv1" ? "conv1" : `${row.name}_conv1`];
    row.gradient = size(gradient) / size(values);
  }
  return { rows, loss, logits, kernels };
}

// Pictures as bytes in base64, over 255 and less the mean of each channel.
export function pictures(text) {
  const pixels = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), mean = [0, 0, 0];
  pixels.forEach((v, i) => { mean[i % 3] += 3 * v / pixels.length; });
  const values = Float64Array.from(pixels, (v, i) => (v - mean[i % 3]) / 255);
  return tensor(pixels.length / 3072, 32, 3, values);
}

// From here on what the reader sees.
const layers = ({ kind, blocks }) => (kind === "v2" ? 9 : 6) * blocks + 2;

export default explorer({
  title: "Size of the signal after each block, and gradient of its first kernel over its weights",
  series: ["signal: root mean square", "gradient / weight"],
  controls: [
    { kind: "choice", name: "kind", label: "Block", choices: {
      plain: "plain", v1: "residual, version 1", v2: "residual, version 2" } },
    { kind: "slider", name: "blocks", label: "Blocks a stage", min: 1, max: 9,
      text: (n) => `${n} (depth ${6 * n + 2}, version 2: ${9 * n + 2})` },
    { kind: "check", name: "bn", label: "Batch normalisation in the blocks" },
    { kind: "button", name: "seed", label: "New draw", next: (seed) => (seed + 1) % 2 ** 31 },
  ],
  prepare: (model) => ({ text: model.get("images"), labels: model.get("labels") }),
  *compute(settings, { text, labels }) {
    return yield* passes(pictures(text), labels, settings);
  },
  say({ rows, loss }, settings) {
    const last = rows.at(-1), first = rows[1];
    return `${layers(settings)} layers: after the last block the signal is ${
      short(last.size / rows[0].size)} times what entered the first. The gradient of the first ` +
      `block, relative to its weights, is ${short(first.gradient / last.gradient)} times that of ` +
      `the last. The loss is ${loss < 1000 ? loss.toFixed(2) : short(loss)}; a blind guess costs 2.30.`;
  },
  draw(shown, before) {
    const lines = [before, shown].filter(Boolean).flatMap((result) =>
      ["size", "gradient"].map((key, series) => {
        const points = result.rows.map((row, at) => [at, row[key]]);
        return { series, points, marks: result === shown ? points : [], before: result !== shown };
      }));
    const names = shown.rows.map(({ name }, at) => [at, name]).filter(([, name]) =>
      name.endsWith("block1")).map(([at, name]) => [at, name.replace(/stage(.).*/, "stage $1")]);
    const most = Math.max(...lines.map(({ points }) => points.length - 1));
    return { lines, ticks: names, most, range: [0.01, 10], up: "signal, gradient / weight",
      across: "block" };
  },
  table: ({ rows }) => [["block", "signal", "gradient / weight"],
    ...rows.map((row) => [row.name, short(row.size), short(row.gradient)])],
});
