"""Widgets that compute in the browser: one small .py and one .js each, which are found here."""

from importlib import import_module
from pkgutil import iter_modules

from course_lib.explorers.kit import Explorer

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
globals().update({kind.__name__: kind for kind in Explorer.__subclasses__()})
