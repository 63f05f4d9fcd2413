"""Pictures of the book: curves, comparisons, networks and blocks, in one palette."""

from course_lib.figures.augmented import augmented
from course_lib.figures.blocks import block, fire
from course_lib.figures.by_step import heat, steps
from course_lib.figures.diagrams import difference, network
from course_lib.figures.figure import Figure, source
from course_lib.figures.grid import matrix
from course_lib.figures.plots import curves, forest, gallery, layers, pictures, seeds
from course_lib.figures.points import points

__all__ = [
    "Figure",
    "augmented",
    "block",
    "curves",
    "difference",
    "fire",
    "forest",
    "gallery",
    "heat",
    "layers",
    "matrix",
    "network",
    "pictures",
    "points",
    "seeds",
    "source",
    "steps",
]
