"""What the explorers share in Python: one self-contained script, checked settings, a text."""

import base64
import html
import inspect
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from course_lib.figures import palette
from course_lib.settings import CourseError, nearest

KIT = Path(__file__).with_name("kit.js")


def script(module: str) -> str:
    """The JavaScript of the explorer whose `__file__` is `module`: the kit, then its own."""
    own = Path(module).with_suffix(".js")
    return KIT.read_text(encoding="utf-8") + own.read_text(encoding="utf-8")


class Explorer(anywidget.AnyWidget):
    """A widget that computes in the browser; the base of all in this package.

    A subclass in `name.py` declares its state as traits tagged `sync`, all of it text and numbers,
    so that a page without a kernel can hold it, and says `_esm = script(__file__)`. Its script is
    `name.js`, to which kit.js lends `explorer` and `widget`. Raises CourseError when a setting is
    unknown or not as its trait says.
    """

    _css = palette.css() + KIT.with_suffix(".css").read_text(encoding="utf-8")

    def __init__(self, **settings):
        name, known = type(self).__name__, self._state()
        for setting in settings:
            if setting not in known:
                raise nearest(setting, known, f"setting of {name}")
        try:
            super().__init__(**settings)
        except traitlets.TraitError as error:
            raise CourseError(f"{name}: {error}") from error

    @classmethod
    def pixels(cls, images, least: int, most: int) -> str:
        """The pixels of `images`, row by row, in base64; a CourseError unless they are `least` to
        `most` of shape (32, 32, 3) and type uint8."""
        images, name = np.asarray(images), cls.__name__
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (32, 32, 3):
            raise CourseError(
                f"{name} needs images of shape (count, 32, 32, 3) and type uint8, not "
                f"{images.shape} and {images.dtype}; pass pixels as the data set holds them"
            )
        if not least <= len(images) <= most:
            raise CourseError(f"{name} needs {least} to {most} images, not {len(images)}")
        return base64.b64encode(images.tobytes()).decode("ascii")

    def _state(self) -> list[str]:
        """The names of the traits that the subclass declares."""
        known = {*Explorer.class_trait_names(), "_esm", "_css", "_anywidget_id"}
        return [name for name in self.trait_names(sync=True) if name not in known]

    def get_state(self, key=None, drop_defaults=False):
        # A page without a kernel has nobody to ask for a default: all state goes into it.
        return super().get_state(key)

    def __repr__(self):
        """The widget with its short settings, the same in every kernel."""
        state = {name: repr(getattr(self, name)) for name in self._state()}
        short = [f"{name}={value}" for name, value in state.items() if len(value) < 25]
        return f"{type(self).__name__}({', '.join(short)})"

    def fallback(self) -> tuple[str, str]:
        """(text, HTML) for where no script runs: GitHub, a feed, a browser without JavaScript."""
        about = inspect.getdoc(type(self)).splitlines()[0]
        text = f"An explorer, which needs JavaScript: {about[0].lower()}{about[1:]}"
        return f"{self!r}\n{text}", f"<p>{html.escape(text)}</p>"

    def _repr_mimebundle_(self, **kwargs):
        shown = super()._repr_mimebundle_(**kwargs)
        if shown is None:
            return None
        text, page = self.fallback()
        return shown[0] | {"text/plain": text, "text/html": page}, shown[1]
