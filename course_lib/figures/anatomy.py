"""What a diagram shows, read from a built Keras model: its stages, and a block's branches.

Nothing here knows a family. A stage is what stands between two places through which all of the
signal passes, and layers `fire2_squeeze`, `fire2_join`, … are one. What a layer is follows from
what it has (a kernel, a pool, a rate); a layer that is none of these is a plain box.
"""

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from course_lib.measure import counting


class Split(NamedTuple):
    """Branches beside each other and the layer that joins them. A branch is a list of layers and
    splits; an empty one is the input itself. No branches: too tangled to draw."""

    branches: list[list]
    join: "Layer"


class Layer(NamedTuple):
    """name: in the model; kind: input, 1x1, 3x3, 5x5, pool, join, bn, activation, dropout, dense
    or plain; says: its kernel or kind in a word; filters: that it has, or 0; strides: 1 or more;
    shape: that it passes on; parameters: their number; inputs: names of what it reads; bias."""

    name: str
    kind: str
    says: str
    filters: int
    strides: int
    shape: tuple[int, ...]
    parameters: int
    inputs: tuple[str, ...]
    bias: bool = False


NOTE = 19  # characters beside a stage
PASSIVE = ("bn", "activation", "dropout")  # they change neither shape nor stage


@dataclass(frozen=True)
class Stage:
    """A step of a network. shape: that it passes on; shares: of its channels, (kind, count), in
    order; note: what it does, at most NOTE characters; join: "", "add" or "concatenate"; bypass:
    "", "identity" or "projection"; layers: what it is made of, (name, words) each.

    Repeated stages are one: `times` how often, `last` the name of the last, `grows` the channels
    that each adds.
    """

    name: str
    shape: tuple[int, ...]
    shares: tuple[tuple[str, int], ...] = ()
    note: str = ""
    join: str = ""
    bypass: str = ""
    layers: tuple[tuple[str, str], ...] = ()
    times: int = 1
    last: str = ""
    grows: int = 0

    @property
    def size(self) -> int:
        """The height in pixels; 1 for what has none."""
        return self.shape[0] if len(self.shape) == 3 else 1

    @property
    def channels(self) -> int:
        return self.shape[-1]

    @property
    def title(self) -> str:
        """The name, or that of the first and the last of those that are one: block1–18."""
        common = re.match(r"(.*?)(\d*)$", self.name)[1]
        return f"{self.name}–{self.last.removeprefix(common)}" if self.last else self.name

    def like(self, other: "Stage") -> bool:
        """Made of the same layers, in a network whose channels may have grown since."""

        def form(stage):
            # Without what only follows it, such as the last normalisation of a network.
            own = [said for name, said in stage.layers if name.startswith(stage.last or stage.name)]
            made = own or [said for _, said in stage.layers]
            return made, stage.size, [kind for kind, _ in stage.shares], stage.bypass

        return bool(self.layers) and form(self) == form(other)


def layers(model) -> list[Layer]:
    """The layers of a functional Keras model, in the order of its graph."""
    return [_layer(row, model.get_layer(row.name)) for row in counting.rows(model)]


def _layer(row: counting.Row, layer) -> Layer:
    kernel = _number(getattr(layer, "kernel_size", 0))
    pool = _number(getattr(layer, "pool_size", 0))
    filters = getattr(layer, "filters", 0) or getattr(layer, "units", 0)
    pooling = "Pooling" in row.kind
    reads = tuple(layer.input.shape[1:]) if len(row.inputs) == 1 else None
    mean = "mean" if "Average" in row.kind else "max"
    if not row.inputs:
        kind, says = "input", "input"
    elif kernel:
        kind = "1x1" if kernel == 1 else "3x3" if kernel <= 3 else "5x5"
        says = f"{kernel}×{kernel}"
    elif pooling:
        kind, says = "pool", f"{pool}×{pool} {mean}" if pool else f"{mean} of each map"
    elif len(row.inputs) > 1:
        kind, says = "join", {"Add": "add", "Concatenate": "concatenate"}.get(row.kind, row.kind)
    elif hasattr(layer, "units"):
        kind, says = "dense", "dense"
    elif reads == row.shape:
        kind = "dropout" if hasattr(layer, "rate") else "activation"
        kind = "bn" if hasattr(layer, "epsilon") else kind
        says = {"bn": "BN", "dropout": "dropout"}.get(kind, row.kind)
    else:
        kind, says = "plain", row.kind
    strides = _number(getattr(layer, "strides", 1) or 1)
    bias = bool(getattr(layer, "use_bias", False))
    return Layer(
        row.name, kind, says, filters, strides, row.shape, row.parameters, row.inputs, bias
    )


def _number(size) -> int:
    return max(size) if isinstance(size, tuple | list) else int(size)


def segments(found: list[Layer]) -> list[list[Layer]]:
    """Cut a list of layers wherever all that comes later reads one layer only."""
    place = {layer.name: k for k, layer in enumerate(found)}
    read_until = {}
    for k, layer in enumerate(found):
        for name in layer.inputs:
            read_until[name if name in place else ""] = k  # "" is what comes from outside
    result, segment, until = [], [], read_until.get("", -1)
    for k, layer in enumerate(found):
        segment.append(layer)
        if until <= k:
            result.append(segment)
            segment = []
        until = max(until, read_until.get(layer.name, k))
    return [*result, segment] if segment else result


def steps(found: list[Layer]) -> list:
    """The layers of a block in their order; those beside each other are a Split."""
    result = []
    for segment in segments(found):
        *inner, join = segment
        result.append(Split(_branches(inner, join), join) if inner else join)
    return result


def _branches(inner: list[Layer], join: Layer) -> list[list]:
    """One list of steps for each input of `join`; none where they share layers."""
    known = {layer.name: layer for layer in inner}
    behind = []
    for name in join.inputs:
        reached, todo = set(), [name]
        while todo:
            if (at := todo.pop()) in known and at not in reached:
                reached.add(at)
                todo += known[at].inputs
        behind.append(reached)
    every = set().union(*behind)
    if not every or sum(map(len, behind)) > len(every):
        return []
    return [steps([layer for layer in inner if layer.name in names]) for names in behind]


def _automatic(layer: Layer, model) -> bool:
    """Whether Keras named the layer: conv2d_3. Such a name says nothing of a stage."""
    kind = type(model.get_layer(layer.name)).__name__.lower()
    return re.sub(r"(_\d+)?$", "", layer.name).replace("_", "") == kind


def grouped(model) -> dict[str, list[Layer]]:
    """The layers of each stage, by its name, which is what stands before the first "_".

    A layer without a name of its own belongs to what it stands in or behind, and so do batch
    normalisation, activation and dropout that would be a stage alone.
    """
    named = []
    for segment in segments(layers(model)):
        names = [layer.name.split("_")[0] for layer in segment if not _automatic(layer, model)]
        named.append((max(names, key=names.count) if names else "", segment))
    active = {name for name, segment in named if any(x.kind not in PASSIVE for x in segment)}
    stages: dict[str, list[Layer]] = {}
    for name, segment in named:
        last = next(reversed(stages), "")
        passive = (not name or name not in active) and all(
            layer.kind in PASSIVE for layer in segment
        )
        if last and (passive or not name and last in active and stages[last][0].kind != "input"):
            name = last
        stages.setdefault(name or segment[-1].name, []).extend(segment)
    return stages


def stages(model) -> list[Stage]:
    """The stages of a built Keras model, in their order."""
    found, reads = [], 0
    for name, inside in grouped(model).items():
        found.append(_stage(name, inside, reads))
        reads = inside[-1].shape[-1]
    return found


def _stage(name: str, inside: list[Layer], reads: int) -> Stage:
    tree = steps(inside)
    splits = [step for step in tree if isinstance(step, Split)]
    join = splits[-1].join.says if splits and splits[-1].join.kind == "join" else ""
    strides = max(layer.strides for layer in inside)
    notes = [says(tree), says(tree, last_only=True)]
    if strides > 1:
        notes.insert(0, f"{notes[0]}, stride {strides}")
    if splits and splits[-1].branches:
        notes.append(f"{len(splits[-1].branches)} branches")
    notes.append(notes[0].split(" → ")[-1])
    fits = (note for note in notes if len(note) <= NOTE)
    note = next(fits, notes[-1][:NOTE]) or ("several layers" if splits else "")
    made = tuple((layer.name, words(layer)) for layer in inside)
    return Stage(name, inside[-1].shape, tuple(_shares(tree, reads)), note, join,
                 _bypass(splits, join), made)  # fmt: skip


def words(layer: Layer) -> str:
    """A layer in words: "3×3 convolution to 64, stride 2"."""
    said = layer.says + ("-pool" if layer.says.endswith(" max") else "")
    if layer.kind in ("1x1", "3x3", "5x5"):
        said += " convolution"
    if layer.filters:
        said += f" to {layer.filters}"
    return said + (f", stride {layer.strides}" if layer.strides > 1 else "")


def main(split: Split) -> list:
    """The branch of an addition that computes most; the others are bypasses."""
    return max(split.branches, key=lambda branch: len(str(branch)), default=[])


def _bypass(splits: list[Split], join: str) -> str:
    if join != "add" or not splits[-1].branches:
        return ""
    return "projection" if all(splits[-1].branches) else "identity"


def says(tree: list, last_only=False) -> str:
    """A block in a line: "1×1 → 1×1 | 3×3". last_only: of each branch only how it ends."""
    parts = []
    for step in tree:
        if isinstance(step, Layer):
            if step.kind not in (*PASSIVE, "input"):
                parts.append(step.says)
        elif step.join.says == "add":
            parts.append(says(main(step), last_only))
        else:
            branches = [says(branch, last_only) or "kept" for branch in step.branches]
            ends = [branch.split(" → ")[-1] for branch in branches]
            parts.append(" | ".join(ends if last_only else branches))
    return " → ".join(filter(None, parts))


def _shares(tree: list, reads: int) -> list[tuple[str, int]]:
    """Of which kind the filters are that made the channels at the end of `tree`."""
    for step in reversed(tree):
        if isinstance(step, Split):
            if step.join.says == "add":
                return _shares(main(step), reads)
            if not step.branches or step.join.says != "concatenate":
                return [("plain", step.join.shape[-1])]
            return [share for branch in step.branches for share in _shares(branch, reads)]
        if step.kind not in PASSIVE:
            return [(step.kind, step.shape[-1])]
    return [("kept", reads)]


def summed_up(found: list[Stage], same=Stage.like, least: int = 3) -> list[Stage]:
    """Of `least` or more stages in a row that are alike, one is left that says how many."""
    chains: list[list[Stage]] = []
    for stage in found:
        if chains and same(stage, chains[-1][-1]):
            chains[-1].append(stage)
        else:
            chains.append([stage])
    result = []
    for chain in chains:
        if len(chain) < least:
            result += chain
            continue
        first, last = chain[0], chain[-1]
        grows = (last.channels - first.channels) // (len(chain) - 1)
        result.append(replace(last, name=first.name, times=len(chain), last=last.name, grows=grows))
    return result
