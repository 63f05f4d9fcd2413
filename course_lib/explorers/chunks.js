// What HDF5 reads of a file in chunks, batch after batch, through its chunk cache: the chunk that
// was used longest ago makes room. Held against h5py by tests/unit/test_explorer.py.

const IMAGES = 4096, BYTES = 64 * 64 * 3, MIB = 2 ** 20;
const SIZES = Array.from({ length: 10 }, (_, k) => 2 ** k);
const ORDERS = ["in order", "blocks", "shuffled"];

// Fisher and Yates' shuffle, by a small generator with a seed (mulberry32).
function shuffled(list, seed = 1) {
  for (let i = list.length - 1; i > 0; i--) {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    const j = (((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * (i + 1) | 0;
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

const count = (n) => Array.from({ length: n }, (_, k) => k);

export function rows(order, chunk, batch, images = IMAGES) {
  if (order === "shuffled") return shuffled(count(images));
  const size = order === "blocks" ? Math.max(chunk, batch) : images;
  const starts = shuffled(count(Math.ceil(images / size)));
  return starts.flatMap((k) => count(size).map((i) => k * size + i).filter((i) => i < images));
}

// How many chunks' worth of bytes an epoch over these rows reads. cache: chunks that it holds.
export function reads(list, { chunk, batch, cache, compressed }) {
  if (!cache && !compressed) return list.length / chunk; // the rows alone
  const held = new Set(); // in the order of their last use
  let found = 0;
  for (let start = 0; start < list.length; start += batch) {
    const touched = new Set(list.slice(start, start + batch).map((i) => Math.floor(i / chunk)));
    for (const k of [...touched].sort((a, b) => a - b)) {
      if (!held.delete(k)) found++;
      held.add(k);
      if (held.size > cache) held.delete(held.values().next().value);
    }
  }
  return found;
}

const holds = (mib, chunk) => Math.floor((mib * MIB) / (chunk * BYTES));

// Bytes read for each byte used.
function factor(settings, order, chunk) {
  const cache = holds(+settings.cache, chunk);
  return (reads(rows(order, chunk, settings.batch), { ...settings, chunk, cache }) * chunk) / IMAGES;
}

const times = (v) => (v === 1 ? "once" : `${v < 10 ? Number(v.toFixed(2)) : Math.round(v)} times`);
const power = { to: Math.log2, from: (place) => 2 ** place, min: 0, step: 1 };
const kilo = (bytes) => `${Math.round(bytes / 1000).toLocaleString("en-US")} kB`;

export default explorer({
  title: "Bytes read for each byte used, by images in a chunk",
  series: ORDERS,
  controls: [
    { kind: "slider", name: "chunk", label: "Images in a chunk", max: 9, ...power },
    { kind: "choice", name: "order", label: "Order", choices: { "in order": "in order",
      blocks: "blocks shuffled", shuffled: "images shuffled" } },
    { kind: "slider", name: "batch", label: "Batch", max: 8, ...power },
    { kind: "choice", name: "cache", label: "Chunk cache", choices: { 0: "none", 1: "1 MiB",
      8: "8 MiB", 64: "64 MiB" } },
    { kind: "check", name: "compressed", label: "compressed chunks" },
  ],
  *compute(settings) {
    const found = {};
    for (const order of ORDERS) {
      found[order] = SIZES.map((chunk) => factor(settings, order, chunk));
      yield;
    }
    return { settings, found };
  },
  say({ settings: { chunk, order, batch, cache, compressed }, found }) {
    const value = found[order][Math.log2(chunk)], room = holds(+cache, chunk);
    const plural = (n, what) => `${n.toLocaleString("en-US")} ${what}${n === 1 ? "" : "s"}`;
    return `${plural(IMAGES / chunk, "chunk")} of ${kilo(chunk * BYTES)}${
      compressed ? ", compressed" : ""}; the cache holds ${
      room >= IMAGES / chunk ? "all" : room || "none"}. One epoch of 4,096 images, ${
      order === "shuffled" ? "shuffled" : order === "blocks" ? "in shuffled blocks" : order
    }, in batches of ${batch}, reads ${Math.round((value * IMAGES * BYTES) / 1e6).toLocaleString(
      "en-US")} MB for 50 MB of pixels: each byte ${times(value)}.`;
  },
  draw({ settings, found }, before) {
    const line = ({ found: of }, old) => ORDERS.map((order, series) => ({ series, before: old,
      points: of[order].map((v, k) => [k, v]), marks: !old && order === settings.order
        ? [[Math.log2(settings.chunk), of[order][Math.log2(settings.chunk)]]] : [] }));
    return { lines: [...(before ? line(before, true) : []), ...line({ found }, false)], most: 9,
      ticks: SIZES.map((v, k) => [k, v]), range: [1, 100], up: "bytes read for each byte used",
      across: "images in a chunk" };
  },
  table: ({ found }) => [["images in a chunk", "bytes of it", ...ORDERS], ...SIZES.map((chunk, k) =>
    [chunk, kilo(chunk * BYTES), ...ORDERS.map((order) => times(found[order][k]))])],
});
