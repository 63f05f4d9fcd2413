"""The signal through SqueezeNet at initialisation, computed in the browser on real pictures."""

import numpy as np
import traitlets

from course_lib.explorers.kit import Explorer, script
from course_lib.settings import CourseError

# A forward pass runs on the reader's machine; more pictures than this would make it wait.
MOST_IMAGES = 64
INITIALIZERS = ("glorot_uniform", "lecun_normal", "he_normal")


class SignalExplorer(Explorer):
    """Choose initialiser, depth, gain and BN; see size and differences of the signal by layer.

    images: (count, 32, 32, 3) uint8, RGB, 2 to 64 of them. mean, deviation: three numbers each,
    in pixel units (0 to 255), with which the images are standardised. settings: where to start:
    `initializer` (`glorot_uniform`, `lecun_normal` or `he_normal`, of the convolutions), `depth`
    (1 to 8 fire modules kept), `gain` (0.5 to 4, multiplies the convolutions' weights), `bn`,
    `seed`. Raises CourseError when one of them is not as said.
    """

    _esm = script(__file__)

    images = traitlets.Unicode().tag(sync=True)  # base64 of the pixels, row by row
    mean = traitlets.List(traitlets.Float(), minlen=3, maxlen=3).tag(sync=True)
    deviation = traitlets.List(traitlets.Float(), minlen=3, maxlen=3).tag(sync=True)
    initializer = traitlets.Enum(INITIALIZERS, INITIALIZERS[0]).tag(sync=True)
    depth = traitlets.Int(8, min=1, max=8).tag(sync=True)
    gain = traitlets.Float(1.0, min=0.5, max=4.0).tag(sync=True)
    bn = traitlets.Bool(False).tag(sync=True)
    seed = traitlets.Int(0, min=0, max=2**31 - 1).tag(sync=True)

    def __init__(self, images, mean, deviation, **settings):
        super().__init__(
            images=self.pixels(images, 2, MOST_IMAGES),
            mean=_channels(mean, "mean"),
            deviation=_channels(deviation, "deviation", positive=True),
            **settings,
        )


def _channels(values, what: str, positive: bool = False) -> list[float]:
    """Three finite numbers, one a channel, as a list."""
    try:
        numbers = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        numbers = np.array([])
    if numbers.shape != (3,) or not np.isfinite(numbers).all() or (positive and min(numbers) <= 0):
        kind = "three numbers above 0" if positive else "three numbers"
        raise CourseError(f"SignalExplorer needs a {what} of {kind}, one a channel, not {values!r}")
    return numbers.tolist()
