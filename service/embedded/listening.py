"""Programs that listen on a port of 127.0.0.1 that stays the same from one start to the next where possible."""

from collections.abc import Callable
from pathlib import Path

from service.embedded.kept import free_port, is_free, kept_port, write_durably
from service.embedded.program import Program
from service.embedded.supervisor import ProgramFailed, Supervisor

_TRIES = 3


def start_listening(supervisor: Supervisor, name: str, program: Callable[[int], Program]) -> int:
    """Start a program on the port that the home keeps for ``name``, or on another one that it keeps from now on.

    Args:
        supervisor: runs the program.
        name: the program's.
        program: makes the program for a port.

    Returns:
        The port.

    Raises:
        ProgramFailed: it did not start, and not because somebody has the port.
    """
    kept = port_file(supervisor.home, name)
    port = kept_port(kept)
    for _ in range(_TRIES):
        try:
            supervisor.start(program(port))
        except ProgramFailed:
            if is_free(port):
                raise
            # Somebody took it between our look and the program's.
            port = free_port()
            write_durably(kept, f"{port}\n")
        else:
            return port
    raise ProgramFailed(f"{name} found no port to listen on.")


def port_file(home: Path, name: str) -> Path:
    """Where a home keeps a program's port."""
    return home / "ports" / name
