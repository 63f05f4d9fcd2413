"""Augmentation on a picture: every parameter by hand, computed in the browser."""

import traitlets

from course_lib.explorers.kit import Explorer, script

MOST_IMAGES = 16  # the page carries them


class AugmentExplorer(Explorer):
    """Shift, turn, shear, zoom and flip a picture; choose what fills the gap, and the shear's unit.

    images: (count, 32, 32, 3) uint8, RGB, 1 to 16 of them. mean: three grey levels, one a channel,
    which a filled pixel has where the fill is the number 0 after standardising. settings: where to
    start: `picture`, its number; `right` and `down`, pixels; `angle`, degrees, counter-clockwise;
    `shear` (0 to 40) in `unit` (`degrees` or `radians`); `across` and `along` (0.5 to 2), source
    pixels for each pixel of a row and of a column; `flip`; `fill` (`nearest` or `constant`);
    `order` (`turn first`, as in Keras, or `zoom first`); `between`: "1" mixes the four pixels
    around a source, "0" takes the nearest. The arithmetic is that of course_lib.datasets.augment.
    Raises CourseError when one of them is not as said.
    """

    _esm = script(__file__)

    images = traitlets.Unicode().tag(sync=True)  # base64 of the pixels, row by row
    mean = traitlets.List(traitlets.Float(), minlen=3, maxlen=3).tag(sync=True)
    picture = traitlets.Int(0, min=0).tag(sync=True)
    right = traitlets.Float(0.0, min=-16, max=16).tag(sync=True)
    down = traitlets.Float(0.0, min=-16, max=16).tag(sync=True)
    angle = traitlets.Float(0.0, min=-180, max=180).tag(sync=True)
    shear = traitlets.Float(0.0, min=0, max=40).tag(sync=True)
    unit = traitlets.Enum(("degrees", "radians"), "degrees").tag(sync=True)
    across = traitlets.Float(1.0, min=0.5, max=2).tag(sync=True)
    along = traitlets.Float(1.0, min=0.5, max=2).tag(sync=True)
    flip = traitlets.Bool(False).tag(sync=True)
    fill = traitlets.Enum(("nearest", "constant"), "nearest").tag(sync=True)
    order = traitlets.Enum(("turn first", "zoom first"), "turn first").tag(sync=True)
    between = traitlets.Enum(("1", "0"), "1").tag(sync=True)

    def __init__(self, images, mean, **settings):
        pixels = self.pixels(images, 1, MOST_IMAGES)
        super().__init__(images=pixels, mean=[float(m) for m in mean], **settings)
