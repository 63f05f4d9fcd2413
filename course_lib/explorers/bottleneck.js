// A convolution on its own against a 1x1 convolution before it, counted as course_lib/measure does:
// one multiplication per weight and place.

export function costs({ inputs, outputs, reduced, kernel, size }) {
  const places = size * size, area = kernel * kernel;
  const first = inputs * reduced * places, second = reduced * outputs * area * places;
  const direct = inputs * outputs * area * places;
  // first + second = direct at this many reduced channels.
  const even = (inputs * outputs * area) / (inputs + outputs * area);
  return { direct, first, second, through: first + second, even };
}

const grouped = (n) => n.toLocaleString("en-US");
const percent = (share) => `${(100 * Math.abs(share)).toFixed(1)} %`;
const weights = (n, size) => grouped(n / (size * size));

// Both costs over all numbers of reduced channels up to `most`.
function lines(settings, most, before) {
  const at = (reduced) => costs({ ...settings, reduced });
  const places = Array.from({ length: 65 }, (_, i) => Math.max(1, (i * most) / 64));
  return [
    { series: 1, before, points: [[0, at(1).direct], [most, at(1).direct]] },
    { series: 0, before, points: places.map((reduced) => [reduced, at(reduced).through]),
      marks: before ? [] : [[settings.reduced, at(settings.reduced).through]] },
  ];
}

export default explorer({
  title: "Multiplications by the number of reduced channels",
  series: ["through a 1×1 convolution", "directly"],
  controls: [
    { kind: "slider", name: "inputs", label: "Channels in", min: 16, max: 512, step: 16 },
    { kind: "slider", name: "reduced", label: "Reduced channels", min: 4, max: 512, step: 4 },
    { kind: "slider", name: "outputs", label: "Channels out", min: 16, max: 512, step: 16 },
    { kind: "slider", name: "size", label: "Map", min: 4, max: 64, text: (n) => `${n} × ${n}` },
    { kind: "choice", name: "kernel", label: "Kernel", choices: { 3: "3 × 3", 5: "5 × 5" } },
  ],
  *compute(settings) { return { settings, ...costs(settings) }; },
  say({ settings, direct, through, even }) {
    const { inputs, reduced, kernel } = settings, saved = 1 - through / direct;
    const result = saved >= 0 ? `${percent(saved)} saved` : `${percent(saved)} more`;
    const passes = reduced < inputs ? `${reduced} of ${inputs} directions can pass`
      : "nothing is reduced";
    return `The ${kernel} × ${kernel} convolution alone takes ${grouped(direct)} multiplications; ${
      ""}through ${reduced} channels they are ${grouped(through)}: ${result}, and ${passes}. ${
      ""}The 1×1 pays below ${even.toFixed(1)} channels.`;
  },
  draw(shown, before) {
    const most = Math.max(...[shown, before].filter(Boolean).map(({ settings }) =>
      Math.max(settings.inputs, settings.reduced)));
    return { most, ticks: ticks(most), range: [shown.direct / 10, shown.direct],
      up: "multiplications", across: "reduced channels",
      lines: [...(before ? lines(before.settings, most, true) : []),
        ...lines(shown.settings, most, false)] };
  },
  table: ({ settings: { kernel, size }, direct, first, second, through }) => [
    ["layer", "weights", "multiplications"],
    ...[[`${kernel} × ${kernel} alone`, direct], ["1 × 1", first],
      [`${kernel} × ${kernel} after it`, second], ["both", through],
    ].map(([name, count]) => [name, weights(count, size), grouped(count)])],
});
