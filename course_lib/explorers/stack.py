"""Signal and gradient through plain and residual stacks, computed in the browser on pictures."""

import numpy as np
import traitlets

from course_lib.explorers.kit import Explorer, script
from course_lib.settings import CourseError


class StackExplorer(Explorer):
    """Choose blocks, depth and BN; see the signal after each block and the gradient there.

    images: (count, 32, 32, 3) uint8, RGB, 2 to 16 of them; the mean of each channel is subtracted.
    labels: a class for each, 0 to 9. settings: where to start: `kind` (`plain`, `v1` or `v2`),
    `blocks` a stage (1 to 9), `bn`, `seed`. The networks are those of models.resnet with `width` 4,
    at initialisation. Raises CourseError when one of them is not as said.
    """

    _esm = script(__file__)

    images = traitlets.Unicode().tag(sync=True)  # base64 of the pixels, row by row
    labels = traitlets.List(traitlets.Int(min=0, max=9)).tag(sync=True)
    kind = traitlets.Enum(("plain", "v1", "v2"), "plain").tag(sync=True)
    blocks = traitlets.Int(3, min=1, max=9).tag(sync=True)
    bn = traitlets.Bool(True).tag(sync=True)
    seed = traitlets.Int(0, min=0, max=2**31 - 1).tag(sync=True)

    def __init__(self, images, labels, **settings):
        pixels = self.pixels(images, 2, 16)
        labels = [int(label) for label in np.ravel(labels)]
        if len(labels) != len(images):
            raise CourseError(
                f"StackExplorer needs a label for each of {len(images)} images, not {len(labels)}"
            )
        super().__init__(images=pixels, labels=labels, **settings)
