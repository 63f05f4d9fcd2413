"""What the augmentation of an experiment makes of a picture."""

import numpy as np

from course_lib import experiments
from course_lib.datasets import augment
from course_lib.figures.plots import gallery


def augmented(recipes: dict, image, count=6, *, seed=0, alt, caption=""):
    """A row per recipe: the picture, then `count` draws of what a network is shown instead.

    recipes: name -> experiment or its id; image: (size, size, 3) uint8. All rows draw alike, so
    that only the recipe differs. What is filled with 0 has the mean colour of the recipe, or of the
    picture where its mean is no number.
    """
    rows = {}
    for name, experiment in recipes.items():
        experiment = experiments.get(getattr(experiment, "id", experiment))
        options, mean = experiment.augmentation, experiment.mean
        mean = np.float32(image.mean(axis=(0, 1)) if isinstance(mean, str) else mean)
        drawn = augment.draw(options, count, size=len(image), seed=seed, epoch=0, step=0)
        moved = augment.move(np.stack([image - mean] * count), drawn, fill=options["fill"]) + mean
        moved = moved.round().clip(0, 255).astype(np.uint8)
        rows[name] = np.concatenate([image[None], moved])
    return gallery(rows, alt=alt, caption=caption)
