"""How long preparing a batch takes beside the training step that it feeds.

    python tests/benchmarks/bench_step.py

For each network, in one process and in turn: a batch prepared (gathered, standardised, shifted and
flipped), and a step trained on it. At most 3 % is wanted. The pictures are the built-in ones: time
does not depend on what they show.
"""

import statistics
import time

from course_lib import datasets, experiments
from course_lib.backend import seed_everything
from course_lib.engine import feeding, training

IDS = ("resnet-v1/20", "squeezenet/bn")  # batches of 32 and of 64
STEPS, WARM_UP, WANTED = 100, 20, 0.03


def main() -> None:
    data = datasets.load("synthetic")
    for experiment in map(experiments.get, IDS):
        seed_everything(0)
        model = training.compiled(experiment)
        stream = feeding.batches(data, experiment, seed=0)
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
        share = prepared / trained
        print(
            f"{experiment.id}, batch {experiment.batch}: prepared in {prepared:.2f} ms, trained in "
            f"{trained:.1f} ms (medians of {STEPS}); share {share:.2%}"
            + ("" if share <= WANTED else f"  above {WANTED:.0%}")
        )


if __name__ == "__main__":
    main()
