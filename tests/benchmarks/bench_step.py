"""How long preparing a batch takes beside the training step that it feeds.

    python tests/benchmarks/bench_step.py

In one process, in turn: a batch of squeezenet/bn prepared (64 images gathered, standardised,
shifted and flipped), and a step trained on it. The pictures are the built-in ones: time does not
depend on what they show.
"""

import statistics
import time

from course_lib import datasets, experiments, training
from course_lib.backend import seed_everything

STEPS, WARM_UP = 60, 10


def main() -> None:
    experiment = experiments.get("squeezenet/bn")
    data = datasets.load("synthetic")
    seed_everything(0)
    model = training.compiled(experiment)
    stream = training.batches(data, experiment, seed=0)
    prepare, train = [], []
    for _ in range(WARM_UP + STEPS):
        start = time.perf_counter()
        images, labels = next(stream)
        ready = time.perf_counter()
        model.train_on_batch(images, labels)
        done = time.perf_counter()
        prepare.append(ready - start)
        train.append(done - ready)
    prepared, trained = (1000 * statistics.median(x[WARM_UP:]) for x in (prepare, train))
    print(f"preparing a batch of {experiment.batch}: {prepared:.2f} ms (median of {STEPS})")
    print(f"training a step of {experiment.id}: {trained:.1f} ms")
    print(f"share: {100 * prepared / trained:.2f} % (target: at most 3 %)")


if __name__ == "__main__":
    main()
