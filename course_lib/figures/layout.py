"""How a block is laid out before it is drawn: what belongs together, its words, and its width."""

from course_lib.figures.anatomy import PASSIVE, Layer, Split
from course_lib.figures.svg import wide

BETWEEN = 8  # two columns
ARC = 30  # room for a bypass on either side


def units(tree: list) -> list[list]:
    """What is drawn without a gap: a convolution and the bands on it, or before it where a block
    begins with them."""
    units: list[list] = []
    first = bool(tree) and isinstance(tree[0], Layer) and tree[0].kind in PASSIVE
    for step in tree:
        band = isinstance(step, Layer) and step.kind in PASSIVE
        open_ = units and all(isinstance(s, Layer) and s.kind in PASSIVE for s in units[-1])
        joins = open_ if first else band and units
        if joins:
            units[-1].append(step)
        else:
            units.append([step])
    return units


def lines_of(layer: Layer, reads: int, room: float) -> list[tuple[str, int, bool]]:
    """What stands in a box: (words, size, bold)."""
    role = layer.name.rpartition("_")[2].rstrip("0123456789") if "_" in layer.name else ""
    role = "" if role in ("conv", "pool", "") else f"{role} "
    title = role + layer.says if layer.kind in ("1x1", "3x3", "5x5") else layer.says
    stride = f"stride {layer.strides}" if layer.strides > 1 else ""
    lines = [(title, 12, True)]
    if layer.filters:
        filters = f"{layer.filters} filters"
        both = f"{filters}, {stride}" if stride else filters
        lines.append((both if wide(both, 11) <= room else filters, 11, False))
        if layer.kind in ("1x1", "3x3", "5x5"):
            kernel = int(layer.says.partition("×")[0])
            area = f"{kernel}·{kernel}·" if kernel > 1 else ""
            bias = f" + {layer.filters}" if layer.bias else ""
            formula = f"{area}{reads}·{layer.filters}{bias} = {layer.parameters:,}"
            short = f"= {layer.parameters:,}"
            lines.append((formula if wide(formula, 11) <= room else short, 11, False))
    elif stride:
        lines.append((stride, 11, False))
    return lines


def least(layer: Layer) -> float:
    """The width that the words of a layer need in a column."""
    if layer.kind in PASSIVE:
        return wide(layer.says, 11)
    return max(wide(said, size) for said, size, _ in lines_of(layer, 1, 0))


def width_of(tree: list, reads: int, scale: float) -> float:
    """The width of a block at `scale` units a channel."""
    widest = reads * scale
    for step in tree:
        if isinstance(step, Layer):
            widest = max(widest, step.shape[-1] * scale, least(step))
            reads = step.shape[-1]
        else:
            columns = [column_of(branch, reads, step, scale) for branch in step.branches]
            both = sum(columns) + BETWEEN * (len(columns) - 1)
            widest = max(widest, both, step.join.shape[-1] * scale)
            reads = step.join.shape[-1]
    return widest


def column_of(branch: list, reads: int, split: Split, scale: float) -> float:
    """The width of a branch; of an addition's bypass the room for its arc, on either side."""
    if not branch and split.join.says == "add":
        return 2 * ARC
    return width_of(branch, reads, scale) if branch else max(reads * scale, 40)
