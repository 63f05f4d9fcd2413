"""Learning-rate schedules: choose one, see the rate by epoch, and how long it trains at which."""

import traitlets

from course_lib.explorers.kit import Explorer, script


class ScheduleExplorer(Explorer):
    """The rate of each epoch under drops, a polynomial or the staircase of Keras' ResNet example.

    settings: where to start. `kind`: `drops`, `polynomial` or `resnet`; `epochs` (10 to 300);
    `drops` (1 to 4, evenly spread, each to a tenth); `power` (0.5 to 4) of the polynomial; `late`,
    whether the staircase drops one epoch late, as its `epoch > 80` does; `epoch`, the one whose
    rate is named, from 0. The formulas are those of course_lib.schedules. Raises CourseError when
    a setting is not as said.
    """

    _esm = script(__file__)

    kind = traitlets.Enum(("drops", "polynomial", "resnet"), "drops").tag(sync=True)
    epochs = traitlets.Int(300, min=10, max=300).tag(sync=True)
    drops = traitlets.Int(2, min=1, max=4).tag(sync=True)
    power = traitlets.Float(1.0, min=0.5, max=4.0).tag(sync=True)
    late = traitlets.Bool(True).tag(sync=True)
    epoch = traitlets.Int(100, min=0, max=299).tag(sync=True)
