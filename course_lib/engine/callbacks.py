"""What happens between the epochs of a run, beside what Keras' own callbacks do."""

import math
import time
from pathlib import Path

from course_lib.backend import keras
from course_lib.engine import checkpoints
from course_lib.settings import CourseError


class Replay(keras.callbacks.Callback):
    """Shows the callbacks of a protocol the epochs before this segment: EarlyStopping and
    ReduceLROnPlateau forget them when training begins."""

    def __init__(self, callbacks, state: dict):
        super().__init__()
        self.callbacks, self.state = callbacks, state

    def on_train_begin(self, logs=None):
        history = self.state["history"]
        watched = "validation" if "validation_loss" in history else "test"
        names = {"loss": "loss", "accuracy": "accuracy"}
        names |= {f"val_{k}": f"{watched}_{k}" for k in tuple(names)}
        for epoch in range(len(history["loss"])):
            past = {k: history[name][epoch] for k, name in names.items()}
            for callback in self.callbacks:
                callback.on_epoch_end(epoch, dict(past))


class Keep(keras.callbacks.Callback):
    """After each epoch: history, seconds, checkpoint. Stops when the time is up.

    every: epochs between checkpoints that stay. tested: the test set, where `fit` watches another.
    """

    def __init__(self, state: dict, folder: Path | None, deadline: float | None, every: int):
        super().__init__()
        self.state, self.folder, self.deadline, self.every = state, folder, deadline, every
        self.tested = None

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        # Mid-epoch work is lost: this is for an epoch that takes longer than those before it.
        if self.deadline and time.monotonic() > self.deadline:
            raise TimeoutError

    def on_epoch_end(self, epoch, logs=None):
        stopped = self.model.stop_training  # by a callback of the protocol
        watched = {k.removeprefix("val_"): v for k, v in logs.items() if k.startswith("val_")}
        row = {k: v for k, v in logs.items() if not k.startswith("val_")}
        if self.tested:
            row |= {f"validation_{k}": v for k, v in watched.items()}
            watched = self.model.evaluate(self.tested, verbose=0, return_dict=True)
        row |= {f"test_{k}": v for k, v in watched.items()}
        seconds = time.monotonic() - self.start
        if not math.isfinite(row["loss"] + row["test_loss"]):
            raise CourseError(f"the loss is no longer a finite number in epoch {epoch + 1}")
        for curve, values in self.state["history"].items():
            values.append(float(row[curve]))
        self.state["seconds_per_epoch"].append(round(seconds, 2))
        self.state["segments"][-1][1] = epoch + 1
        self.state["stopped_early"] = stopped
        if self.folder:
            checkpoints.save(self.model, self.folder, self.state, self.every)
        if self.deadline and time.monotonic() + seconds > self.deadline:
            self.model.stop_training = True
