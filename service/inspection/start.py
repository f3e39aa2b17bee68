"""Starts a helper: ``python -m service.inspection.start PROGRAM ARGUMENTS...``.

Some modules of the standard library ask to be run after each fork: `threading` and `logging` to make locks of other
threads good again, `random` to begin anew. A helper has one thread, and its children draw no random numbers; they
would only pay for it, a third of a child's time before it begins. So nothing that is imported from here on may ask.
"""

import os
import runpy
import sys


def _ask_for_nothing(**_: object) -> None:
    """Stands for `os.register_at_fork`."""


if __name__ == "__main__":
    os.register_at_fork = _ask_for_nothing
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
