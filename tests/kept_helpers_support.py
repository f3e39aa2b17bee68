"""Helpers that read documents behind walls, kept for all tests of a process: to start one takes longer than most tests.

Tests of the helpers, and of how the service starts and ends them, have their own.
"""

import atexit
import dataclasses
import functools

from service.bootstrap import Application, inspection_limits
from service.inspection.inspector import Inspector
from service.inspection.letter_inspector import LetterInspector
from service.inspection.limits import InspectionLimits
from service.inspection.scanners.none import NoScanner


def instead_of_own(application: Application) -> Application:
    """The application with the kept helpers; one with a malware scanner keeps its own for what is handed in."""
    limits = inspection_limits(application.settings)
    context = dataclasses.replace(application.context, letters=_letters(limits))
    if isinstance(application.scanner, NoScanner):
        context = dataclasses.replace(context, inspector=_inspector(limits))
    return dataclasses.replace(application, context=context)


@functools.cache
def _inspector(limits: InspectionLimits) -> Inspector:
    made = Inspector(limits, NoScanner())
    atexit.register(made.__exit__, None, None, None)
    return made.__enter__()


@functools.cache
def _letters(limits: InspectionLimits) -> LetterInspector:
    made = LetterInspector(limits, late=True)
    atexit.register(made.__exit__, None, None, None)
    return made.__enter__()
