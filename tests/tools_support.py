"""Programs of the system that judge results: found, or the test is skipped with the name of what is missing."""

import os
import shutil

import pytest

from service.embedded.checks import TOOLS


def program(name: str) -> str:
    """Where a program lies; without it the test is skipped, which counts as a failure where ``CI=true``."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"needs {name} (Debian: apt-get install {TOOLS[name]})")
    return found
