"""A bundle unpacked in an empty folder, and a Python that has nothing but ``cryptography`` to check it with."""

import hashlib
import importlib.util
import io
import subprocess
import venv
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from zipfile import ZipFile

from service.usecases.bundle import Bundle


@cache
def bare_python() -> Path:
    """An interpreter whose only library is ``cryptography`` with what it is made of."""
    home = Path(mkdtemp(prefix="zending-bare-"))
    venv.create(home, symlinks=True, with_pip=False)
    (packages,) = home.glob("lib/python3*/site-packages")
    for name in ("cryptography", "cffi", "_cffi_backend", "pycparser"):
        found = importlib.util.find_spec(name)
        if found is not None and found.origin is not None:
            source = Path(found.origin)
            source = source.parent if source.name == "__init__.py" else source
            (packages / source.name).symlink_to(source)
    return home / "bin" / "python"


def unpacked(bundle: Bundle, folder: Path) -> Path:
    """The folder that a recipient gets by unpacking."""
    with ZipFile(io.BytesIO(b"".join(bundle.stream()))) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


def check(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the bundle's own program there, in a process that knows nothing of this tree."""
    command = [str(bare_python()), "-I", str(folder / "check.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={}, timeout=120)


def judged(output: str) -> dict[str, str]:
    """What the program said of each file."""
    lines = [line for line in output.splitlines() if line[:12].strip() in {"ok", "FAILED", "not checked"}]
    return {line[12:].split(": ", 1)[0]: line[:12].strip() for line in lines}


def listed_again(folder: Path) -> None:
    """Mend the list of digests, as a forger would."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder)}\n" for file in files]
    (folder / "SHA256SUMS").write_text("".join(lines))
