"""Pickles of plain data and NumPy arrays of bytes, read without running what they ask for.

A pickle can run any code when it is loaded, so these are read by `_DataOnly`, which knows data
only.
"""

import io
import pickle

import numpy as np


class _DataOnly(pickle.Unpickler):
    """Unpickles dicts, lists, numbers, strings and NumPy arrays; refuses every other name."""

    def find_class(self, module: str, name: str):
        # NumPy 2 writes numpy._core where NumPy 1 wrote numpy.core.
        allowed = {
            "numpy.core.multiarray _reconstruct": _Array,
            "numpy._core.multiarray _reconstruct": _Array,
            "numpy.core.numeric _frombuffer": _from_buffer,  # protocol 5
            "numpy._core.numeric _frombuffer": _from_buffer,
            "numpy ndarray": object,
            "numpy dtype": _Type,
            "_codecs encode": _encode,  # how Python 3 writes bytes in an old protocol
        }
        wanted = f"{module} {name}"
        if wanted not in allowed:
            raise ValueError(f"the file asks for {wanted[:80]!r}, which no batch needs")
        return allowed[wanted]


class _Array:
    """Stands where the file wants NumPy to rebuild an array: only takes note of its parts."""

    array = None

    def __init__(self, *ignored):
        pass

    def __setstate__(self, state):
        _, shape, kind, column_major, data = state
        data = data.encode("latin1") if isinstance(data, str) else data  # str: from Python 2
        self._take(data, kind, shape, "F" if column_major else "C")

    def _take(self, data, kind, shape, order):
        if not isinstance(kind, _Type) or kind.code != "u1":
            raise ValueError("the images are not of type uint8")
        self.array = np.frombuffer(data, np.uint8).reshape(shape, order=order)


def _from_buffer(data, kind, shape, order) -> _Array:
    """An array as protocol 5 has it; `data` is bytes or a bytearray."""
    array = _Array()
    array._take(data, kind, shape, order)
    return array


class _Type:
    """Stands where the file wants a NumPy type: keeps its code, ignores its state."""

    def __init__(self, code, *ignored):
        self.code = code

    def __setstate__(self, state):
        pass


def _encode(text: str, coding: str) -> bytes:
    if coding != "latin1":  # `codecs.encode` itself would decompress, or import a codec
        raise ValueError(f"the file asks for the coding {coding!r}, which no batch needs")
    return text.encode("latin1")


def read_pickle(raw: bytes):
    """The plain data in a pickle; keys are str, whether Python 2 or 3 wrote them.

    Nothing that the file names is imported or called, except what `_DataOnly` allows.
    ValueError for anything else, for a truncated file and for garbage.
    """
    try:
        batch = _DataOnly(io.BytesIO(raw), encoding="latin1").load()
    except ValueError:
        raise
    except Exception as error:  # garbage makes the unpickler raise almost anything
        raise ValueError("the file is no pickle of a CIFAR-10 batch") from error
    if isinstance(batch, dict):
        batch = {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in batch.items()}
    return batch
