"""The pages for operators, executed as they are written: a shell that runs their command blocks one after the other."""

import os
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from tests.embedded_support import CHECKOUT

PAGES = CHECKOUT / "docs" / "runbooks"
_BLOCK = re.compile(r"^( *)```(?:sh|ini)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class Shell:
    """Bash as an operator has it: ``zending`` is a command.

    Attributes:
        before: what every shell begins with.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.before = ":"
        programs = folder / "programs"
        programs.mkdir()
        launcher = programs / "zending"
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m service.cli "$@"\n')
        launcher.chmod(0o755)
        path = f"{programs}:{os.environ['PATH']}"
        self.environment = dict(environment) | {"PATH": path, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "200"}

    def run(self, commands: str, *, status: Collection[int] = (0,), **more: str) -> str:
        """Run commands, of which the first that fails is the end; what they said."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{self.before}\n{commands}"],
            cwd=self.folder,
            env=self.environment | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode in status, f"{commands}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr


class Page:
    """A page's command blocks, in their order.

    Args:
        file: the page.
        shell: where they are run.
        fill: what the page leaves open or names otherwise, and what stands there in truth.
    """

    def __init__(self, file: Path, shell: Shell, fill: Mapping[str, str] | None = None) -> None:
        self._blocks = [found[1] for found in _BLOCK.findall(file.read_text("utf-8"))]
        self._shell, self._fill = shell, dict(fill or {})
        assert self._blocks, f"{file} has no command block"

    def take(self, fill: Mapping[str, str] | None = None) -> str:
        """The next block with its gaps filled; one that stays open fails, or the block would run with a hole in it."""
        block: str = self._blocks.pop(0)
        for gap, truth in (self._fill | dict(fill or {})).items():
            block = block.replace(gap, truth)
        assert "…" not in block, f"nothing was said for a gap in: {block}"
        assert not re.search(r"<[a-z]", block), f"nothing was said for a gap in: {block}"
        return block

    def run(self, fill: Mapping[str, str] | None = None, *, status: Collection[int] = (0,)) -> str:
        """Run the next block; what it said."""
        return self._shell.run(self.take(fill), status=status)

    def is_walked(self) -> bool:
        """Whether every block was taken: a page with a new one needs somebody who tries it."""
        return not self._blocks
