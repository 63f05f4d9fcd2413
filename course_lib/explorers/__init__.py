"""Widgets that compute in the browser: one small .py and one .js each."""

from course_lib.explorers.predict import Prediction
from course_lib.explorers.schedules import ScheduleExplorer
from course_lib.explorers.signal import SignalExplorer

__all__ = ["Prediction", "ScheduleExplorer", "SignalExplorer"]
