// The signal through SqueezeNet for CIFAR-10 at initialisation: one forward pass, in the browser.
// Values lie as in Keras: picture, row, column, channel; weights: row, column, input, output.

const FIRES = [16, 16, 32, 32, 48, 48, 64, 64]; // squeeze filters; expands have 4 times as many
const STAGES = ["input", "conv1", ...FIRES.map((_, i) => `fire${i + 2}`), "conv10", "logits"];

// Uniform numbers in (0, 1): Marsaglia's xorshift. The state must not be 0.
const generator = (state) => () => {
  state ^= state << 13, state ^= state >>> 17, state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
};

// The weights of one k x k convolution as Keras would draw them, times `gain`.
function draw(uniform, initializer, k, inputs, filters, gain) {
  const fanIn = k * k * inputs, limit = Math.sqrt(6 / (fanIn + k * k * filters));
  // Cutting at two deviations narrows the bell to 0.8796 of its width; Keras widens it back.
  const deviation = Math.sqrt((initializer === "he_normal" ? 2 : 1) / fanIn) / 0.87962566103423978;
  const normal = () => { // Box and Muller's; beyond two deviations it is drawn again
    const z = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    return Math.abs(z) > 2 ? normal() : z;
  };
  return Float32Array.from({ length: fanIn * filters }, initializer === "glorot_uniform"
    ? () => gain * limit * (2 * uniform() - 1) : () => gain * deviation * normal());
}

const tensor = (count, size, channels, values = new Float32Array(count * size ** 2 * channels)) =>
  ({ count, size, channels, values });

// Adds the convolution of x to `filters` channels of y, from channel `first` on.
function convolve(x, weights, k, stride, y, first, filters) {
  windows(x, k, stride, (place, from, tap) => {
    const to = place * y.channels + first;
    for (let input = 0; input < x.channels; input++) {
      const value = x.values[from * x.channels + input];
      if (value === 0) continue; // after a ReLU about half of them: half the work saved
      const w = (tap * x.channels + input) * filters;
      for (let f = 0; f < filters; f++) y.values[to + f] += value * weights[w + f];
    }
  });
}

// Gathers each window into one place by `merge`, starting from 0: the least there is after a ReLU.
function pool(x, k, stride, merge) {
  const y = tensor(x.count, Math.ceil(x.size / stride), x.channels);
  windows(x, k, stride, (place, from) => {
    for (let c = 0; c < x.channels; c++) {
      const to = place * x.channels + c;
      y.values[to] = merge(y.values[to], x.values[from * x.channels + c]);
    }
  });
  return y;
}

// Mean and variance of every `step`-th value from `first` on.
function moments(values, first, step) {
  const n = values.length / step;
  let mean = 0, variance = 0;
  for (let i = first; i < values.length; i += step) mean += values[i] / n;
  for (let i = first; i < values.length; i += step) variance += (values[i] - mean) ** 2 / n;
  return [mean, variance];
}

// Batch normalisation in training mode, in place: each channel over pictures and places.
function normalise({ channels, values }) {
  for (let c = 0; c < channels; c++) {
    const [mean, variance] = moments(values, c, channels), scale = 1 / Math.sqrt(variance + 1e-5);
    for (let i = c; i < values.length; i += channels) values[i] = (values[i] - mean) * scale;
  }
}

// size: root mean square of all values. difference: the standard deviation of each unit over the
// pictures, as root mean square over the units: what a later layer has to tell pictures apart by.
function measure(name, { count, values }) {
  const units = values.length / count;
  let squares = 0, variances = 0;
  for (let u = 0; u < units; u++) {
    const [mean, variance] = moments(values, u, units);
    squares += mean ** 2 + variance;
    variances += variance;
  }
  return { name, size: Math.sqrt(squares / units), difference: Math.sqrt(variances / units) };
}

// Cross-entropy averaged over the pictures and over the labels each might have.
function crossEntropy({ count, channels, values }) {
  const costs = Array.from({ length: count }, (_, n) => {
    const logits = values.subarray(n * channels, (n + 1) * channels), top = Math.max(...logits);
    const total = logits.reduce((sum, v) => sum + Math.exp(v - top), 0);
    return top + Math.log(total) - moments(logits, 0, 1)[0];
  });
  return moments(costs, 0, 1)[0];
}

// The forward pass, one stage at a time, so that the page can breathe in between: yields each
// stage's measures and in the end {logits, loss, weights}.
function* forward(images, { initializer, depth, bn, gain, seed }) {
  const uniform = generator(Math.imul(seed + 1, 0x9e3779b1)), weights = []; // neighbours far apart
  const linear = (x, k, stride, y, first, filters, kind, times) => {
    weights.push(draw(uniform, kind, k, x.channels, filters, times));
    convolve(x, weights.at(-1), k, stride, y, first, filters);
  };
  // Convolutions of the sizes `ks` side by side, then BN if wanted, then ReLU.
  const convolution = (x, ks, filters, stride = 1) => {
    const y = tensor(x.count, Math.ceil(x.size / stride), ks.length * filters);
    ks.forEach((k, i) => linear(x, k, stride, y, i * filters, filters, initializer, gain));
    if (bn) normalise(y);
    return { ...y, values: y.values.map((v) => Math.max(v, 0)) };
  };
  yield measure("input", images);
  let x = convolution(images, [3], 96, 2);
  yield measure("conv1", x);
  x = pool(x, 3, 2, Math.max);
  for (const [i, squeeze] of FIRES.slice(0, depth).entries()) {
    x = convolution(convolution(x, [1], squeeze), [1, 3], 4 * squeeze);
    yield measure(`fire${i + 2}`, x);
    if (i === 2 || i === 6) x = pool(x, 3, 2, Math.max); // after fire4 and fire8
  }
  x = convolution(x, [1], 10);
  yield measure("conv10", x);
  const average = pool(x, x.size, x.size, (sum, v) => sum + v / x.size ** 2);
  const logits = tensor(x.count, 1, 10);
  // The article changes the initialiser of convolutions only: Dense keeps Keras' default.
  linear(average, 1, 1, logits, 0, 10, "glorot_uniform", 1);
  yield measure("logits", logits);
  yield { logits: logits.values, loss: crossEntropy(logits), weights };
}

// The whole pass at once, on a Float32Array of standardised 32 x 32 x 3 pictures.
export function signal(values, settings) {
  const stages = [...forward(tensor(values.length / 3072, 32, 3, values), settings)];
  return { ...stages.pop(), stages };
}

// From here on what the reader sees.
const NAMES = { glorot_uniform: "Glorot uniform", lecun_normal: "LeCun normal",
  he_normal: "He normal" };

function pictures(model) {
  const pixels = Uint8Array.from(atob(model.get("images")), (c) => c.charCodeAt(0));
  const mean = model.get("mean"), deviation = model.get("deviation");
  const values = Float32Array.from(pixels, (v, i) => (v - mean[i % 3]) / deviation[i % 3]);
  return tensor(pixels.length / 3072, 32, 3, values);
}

export default explorer({
  title: "Size and difference of the signal by layer",
  series: ["size: root mean square", "difference: deviation between pictures"],
  controls: [
    { kind: "choice", name: "initializer", label: "Initialiser of the convolutions",
      choices: NAMES },
    { kind: "slider", name: "depth", label: "Depth", min: 1, max: 8,
      text: (depth) => (depth === 1 ? "fire2 only" : `fire2 to fire${depth + 1}`) },
    { kind: "slider", name: "gain", label: "Gain", min: -1, max: 2, step: 0.25,
      to: Math.log2, from: (place) => 2 ** place, text: (gain) => `weights × ${short(gain, 3)}` },
    { kind: "check", name: "bn", label: "Batch normalisation" },
    { kind: "button", name: "seed", label: "New draw", next: (seed) => (seed + 1) % 2 ** 31 },
  ],
  prepare: pictures,
  *compute(settings, images) {
    const stages = [];
    for (const stage of forward(images, settings)) yield stages.push(stage);
    return { ...stages.pop(), stages };
  },
  say({ stages, loss }) {
    const last = stages.at(-3), cost = loss < 1000 ? loss.toFixed(3) : short(loss);
    return `After ${last.name} the signal is ${short(last.size / stages[0].size)} times what ` +
      "went in. From picture to picture the logits vary by " +
      `${short(stages.at(-1).difference)}. The loss, averaged over the ten labels ` +
      `that each picture might have, is ${cost}; a blind guess costs 2.303.`;
  },
  draw(shown, before) {
    const lines = [before, shown].filter(Boolean).flatMap((result) =>
      ["size", "difference"].map((key, series) => {
        const points = result.stages.map((s) => [STAGES.indexOf(s.name), s[key]]);
        return { series, points, marks: result === shown ? points : [], before: result !== shown };
      }));
    const names = STAGES.map((name, i) => [i, name]);
    return { lines, ticks: names, most: STAGES.length - 1, range: [1e-5, 10],
      up: "size, difference", across: "layer" };
  },
  table: ({ stages }) => [["layer", "size", "difference"],
    ...stages.map((s) => [s.name, short(s.size), short(s.difference)])],
});
