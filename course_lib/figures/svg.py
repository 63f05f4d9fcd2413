"""Shapes of the diagrams as SVG text. Lengths are units of the drawing, x to the right, y down.

Text and lines take the page's text colour (`currentColor`), so that a drawing is right on white
and on black.
"""

from html import escape

from course_lib.figures.palette import GREEN

# Narrow enough that 10.5 units are still 10 pixels on a telephone with 350 pixels for the page.
WIDTH = 360

HAIR = 2.0  # nothing is drawn thinner, so that three channels can still be seen


def svg(width: float, height: float, parts, max_width: int) -> str:
    """One <svg> element as wide as its place, but at most `max_width` pixels."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="100%" '
        f'style="max-width:{max_width}px;display:block;margin:0 auto" '
        f'font-family="system-ui,sans-serif" fill="none">{"".join(parts)}</svg>'
    )


def box(x: float, y: float, w: float, h: float, colour: str, opacity=0.3, line=1.4, dash="") -> str:
    """A rectangle with its corner at x, y, tinted so that text on it reads on any page.

    The outline lies inside: the box is as large as it says. colour: "none" for an empty one.
    """
    w, h = max(w, HAIR), max(h, HAIR)
    thick = min(line, w / 2, h / 2)
    stroke = "none" if not line else "currentColor" if colour == "none" else colour
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<rect x="{x + thick / 2:.2f}" y="{y + thick / 2:.2f}" width="{w - thick:.2f}" '
        f'height="{h - thick:.2f}" rx="{min(1.5, h / 4):g}" fill="{colour}" '
        f'fill-opacity="{opacity:g}" stroke="{stroke}" stroke-width="{thick:g}"{dashes}/>'
    )


def text(x: float, y: float, words: str, size=12, anchor="middle", bold=False) -> str:
    """A line of text whose vertical middle is y."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y + 0.36 * size:.1f}" font-size="{size}" fill="currentColor" '
        f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
    )


def wide(words: str, size=12) -> float:
    """How wide a line of text is at most, in units: 0.6 of its size a character."""
    return 0.6 * size * len(words)


def passage(x1: float, y1: float, w1: float, x2: float, y2: float, w2: float) -> str:
    """A pale passage from a box that ends at y1 to one that begins below it, at y2; x are the
    boxes' middles and w their widths."""
    return (
        f'<path d="M{x1 - w1 / 2:.1f} {y1:.1f}H{x1 + w1 / 2:.1f}L{x2 + w2 / 2:.1f} {y2:.1f}'
        f'H{x2 - w2 / 2:.1f}Z" fill="currentColor" fill-opacity="0.08"/>'
    )


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """A line downwards with a head at its end."""
    return (
        f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2 - 1:.1f}m-3.5 -3.5l3.5 3.5 3.5 -3.5" '
        'stroke="currentColor" stroke-width="1.2" stroke-opacity="0.65"/>'
    )


def line(x: float, y1: float, y2: float, to: float | None = None) -> str:
    """A line without a head, straight down or down to x = `to`."""
    return (
        f'<path d="M{x:.1f} {y1:.1f}L{x if to is None else to:.1f} {y2:.1f}" '
        'stroke="currentColor" stroke-width="1.2" stroke-opacity="0.65"/>'
    )


def arc(x: float, y1: float, y2: float, out: float, dash="") -> str:
    """A bypass: from x, y1 out to the right by `out` and back to x, y2."""
    turn = min(out, (y2 - y1) / 2, 14)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path d="M{x:.1f} {y1:.1f}H{x + out - turn:.1f}q{turn:.1f} 0 {turn:.1f} {turn:.1f}'
        f"V{y2 - turn:.1f}q0 {turn:.1f} {-turn:.1f} {turn:.1f}H{x + 8:.1f}m3.5 -3.5l-3.5 3.5 "
        f'3.5 3.5" stroke="{GREEN}" stroke-width="1.8"{dashes}/>'
    )


def plus(x: float, y: float, radius=6.0) -> str:
    """An addition: a circle with a + in it."""
    half = radius * 0.6
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{GREEN}" fill-opacity="0.3" '
        f'stroke="{GREEN}" stroke-width="1.6"/><path d="M{x - half:.1f} {y:.1f}h{2 * half:.1f}'
        f'm{-half:.1f} {-half:.1f}v{2 * half:.1f}" stroke="currentColor" stroke-width="1.4"/>'
    )
