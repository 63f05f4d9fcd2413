"""One line that says how a run is getting on: a bar in a terminal, a sentence in a notebook."""

import sys
import time

from tqdm import tqdm

from course_lib.backend import keras


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def duration(seconds: float) -> str:
    """`seconds` as a reader says it: 40 s, 3 min, 2.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class Progress(keras.callbacks.Callback):
    """steps: of an epoch; epochs: of the run; done: epochs completed before this segment;
    watched: the images that `fit` evaluates on, "test" or "validation"."""

    def __init__(self, name: str, steps: int, epochs: int, done: int, watched: str = "test"):
        super().__init__()
        self.name, self.steps, self.epochs, self.done = name, steps, epochs, done
        self.watched = watched
        self.bar = self.line = None
        self.shown = 0.0

    def on_train_begin(self, logs=None):
        self.start = time.monotonic()
        if _in_notebook():
            from IPython.display import display

            # A display that is updated in place leaves one line in the saved page.
            self.line = display({"text/plain": f"{self.name}: starting"}, raw=True, display_id=True)
        else:
            self.bar = tqdm(
                total=self.steps * self.epochs,
                initial=self.steps * self.done,
                desc=self.name,
                unit="step",
                mininterval=0.5 if sys.stderr.isatty() else 30,
            )

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.bar is not None:
            self.bar.update(1)
        elif time.monotonic() - self.shown > 1:
            self.shown = time.monotonic()
            done = (self.epoch - self.done) * self.steps + batch + 1
            total = (self.epochs - self.done) * self.steps
            left = (self.shown - self.start) / done * (total - done)
            self._say(f"epoch {self.epoch + 1} of {self.epochs}, about {duration(left)} left")

    def on_epoch_end(self, epoch, logs=None):
        accuracy = f"{self.watched} accuracy {100 * logs['val_accuracy']:.1f} %"
        result = f"loss {logs['loss']:.3f}, {accuracy}"
        if self.bar is not None:
            self.bar.set_postfix_str(result)
        self._say(f"epoch {epoch + 1} of {self.epochs}, {result}")

    def close(self):
        if self.bar is not None:
            self.bar.close()

    def _say(self, text: str):
        if self.line is not None:
            self.line.update({"text/plain": f"{self.name}: {text}"}, raw=True)
