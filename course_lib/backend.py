"""Keras, imported without TensorFlow's start-up lines: `from course_lib.backend import keras`.

Two lines about oneDNN are written by C++ to file descriptor 2 before any log level is read.
(Switching oneDNN off would silence them too, and cost half the training speed.) So the
descriptor is caught during this one import, and whatever else was written is passed on.

Keras also has settings of its own, from `keras.json` in the user's home, from the environment, or
from a cell of a notebook. None of them decides what a network of the course is: `pin` sets what
can be set, and a CourseError says what to do about the rest.
"""

import contextlib
import importlib
import os
import platform
import sys
import tempfile

import numpy as np

from course_lib import processor, settings
from course_lib.settings import CourseError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# What the start-up lines are about; a line with none of these is shown.
_KNOWN = ("oneDNN", "absl::InitializeLog", "cpu_feature_guard", "rebuild TensorFlow", "cuda")


@contextlib.contextmanager
def _without_startup_lines():
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (AttributeError, OSError, ValueError):  # there is none, or it is closed
        yield
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            caught.seek(0)
            for line in caught.read().decode(errors="replace").splitlines(keepends=True):
                if not any(known in line for known in _KNOWN):
                    sys.stderr.write(line)


# Keras' settings that decide a result, as the course needs them.
_SETTINGS = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}
_SETTINGS |= dict.fromkeys(("max_epochs", "max_steps_per_epoch"))
_BACKENDS = ("tensorflow", "jax", "torch")  # Keras has more, which do not train
_ONE, _AGAIN = f"one of {', '.join(_BACKENDS)}", "and start Python again"


def _asked() -> str:
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def pin() -> None:
    """Keras' settings become those of the course, for good: a network may be used at any time.

    Raises CourseError for what Keras fixed when it was imported, and is not as a record says.
    """
    backend, asked, wrong = keras.backend.backend(), _asked(), None
    if backend != asked or asked not in _BACKENDS:
        wrong = f"Keras runs on {backend}, KERAS_BACKEND is {asked}: set it to {_ONE}"
    elif getattr(keras.config, "is_nnx_enabled", bool)():
        wrong = "Keras was imported with NNX: set KERAS_NNX_ENABLED to 0"
    elif backend == "torch" and os.environ.get("KERAS_TORCH_DEVICE"):
        wrong = "no record holds KERAS_TORCH_DEVICE: unset it"
    if wrong:
        raise CourseError(f"{wrong}, {_AGAIN}")
    for name, value in _SETTINGS.items():
        # An older Keras has no limits, and nothing to set.
        getattr(keras.config, f"set_{name}", lambda _: None)(value)


@contextlib.contextmanager
def pinned(precision: str = "float32"):
    """`pin`; and what is made within follows the Keras dtype policy `precision`."""
    pin()
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(precision)
        yield
    finally:
        keras.config.set_dtype_policy(before)


if "keras" not in sys.modules:
    # They go before what keras.json says.
    os.environ.update(KERAS_BACKEND=_asked(), KERAS_NNX_ENABLED="0")
try:
    with _without_startup_lines():
        import keras
        from keras import layers

        # Keras loads its backend lazily in parts; touch it while the descriptor is caught.
        keras.ops.convert_to_tensor(0.0)
except Exception as error:  # a wrong setting shows in many ways
    _file = os.path.join(os.environ.get("KERAS_HOME") or "~/.keras", "keras.json")
    raise CourseError(
        f"Keras cannot be imported ({error}): set KERAS_BACKEND to {_ONE} that is installed, "
        f"mend {_file}, unset other variables KERAS_*, {_AGAIN}"
    ) from error
pin()

__all__ = [
    "SeedSteps",
    "circumstances",
    "hardware",
    "keras",
    "layers",
    "pinned",
    "precision",
    "seed_everything",
    "threads",
    "versions",
]


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and the backend, and ask TensorFlow for deterministic kernels."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


class SeedSteps(keras.callbacks.Callback):
    """Before every step, seeds what no checkpoint holds: on PyTorch, Keras draws dropout from a
    global generator. The other backends keep its state in a variable."""

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if keras.backend.backend() == "torch":
            import torch

            place = np.random.SeedSequence((self.seed, self.epoch, batch))
            torch.manual_seed(int(place.generate_state(1)[0]))


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a run's result."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": sys.version.split()[0]}
    for package in ("keras", keras.backend.backend(), "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # TensorFlow is installed by other names, too
            found[package] = importlib.import_module(package).__version__
    return found


def threads() -> int:
    """How many threads one operation uses on the processor."""
    name = keras.backend.backend()
    if name == "torch":
        import torch

        return torch.get_num_threads()
    chosen = 0
    if name == "tensorflow":
        import tensorflow as tf

        chosen = tf.config.threading.get_intra_op_parallelism_threads()
    return chosen or int(os.environ.get(processor.THREADS[name], 0)) or processor.cores()


def precision(wanted: tuple[str, ...]) -> str:
    """The first of these dtype policies that is worth while here: bfloat16 where there is a unit
    for it, in the processor or in an accelerator."""
    units = processor.has_bfloat16() or hardware()["accelerators"]
    return next(name for name in wanted if units or "bfloat16" not in name)


def hardware() -> dict:
    """Processor and its instruction sets, cores and accelerators."""
    name = processor.cpuinfo("model name") or platform.processor() or platform.machine()
    if keras.backend.backend() == "torch":  # Keras lists its devices on the other two only
        import torch

        devices = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    else:
        devices = [d for d in keras.distribution.list_devices() if not d.startswith("cpu")]
    return {
        "processor": name,
        "instructions": processor.instructions(),
        "cores": processor.cores(),
        "accelerators": devices,
    }


def circumstances() -> dict:
    """What decides the digits of a result beside what the run is, and so must stay to its end."""
    return {
        "code": settings.code(),
        "commit": settings.commit(),
        "versions": versions(),
        "threads": threads(),
        "hardware": hardware(),
        "environment": processor.environment(),
    }
