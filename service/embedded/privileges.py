"""How embedded processes are tied to their supervisor, and servers kept from running as root."""

import os
import shutil
import signal
from pathlib import Path

NOBODY = 65_534


class CannotStart(Exception):
    """Something that a person must change before the embedded parts can start; the text says what."""


def tied(stop: signal.Signals, *, user: int | None = None) -> tuple[str, ...]:
    """The start of a command line for a process that must not outlive the thread that starts it.

    The kernel sends ``stop`` when that thread ends, however it ends. The command keeps its process number.

    Args:
        stop: the signal that ends the process in good order.
        user: become this user (user and group number alike) first. The process keeps one power of root, to pass
            the folders above its own that only root may enter; so what runs under it must not hand that power on.

    Raises:
        CannotStart: the machine has no setpriv.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise CannotStart("The program setpriv is missing: install the package util-linux.")
    become: tuple[str, ...] = ()
    if user is not None:
        become = (
            f"--reuid={user}",
            f"--regid={user}",
            "--clear-groups",
            "--inh-caps=-all,+dac_override",
            "--ambient-caps=-all,+dac_override",
            # Without it access(2), which servers ask first, would answer as if the power were not there.
            "--securebits=+no_setuid_fixup",
        )
    return (setpriv, *become, f"--pdeathsig={signal.Signals(stop).name.removeprefix('SIG')}", "--")


def server_user(folder: Path) -> int | None:
    """Who a server that keeps its data in ``folder`` (which must exist) runs as; None for who we are.

    As root: the owner of the data where there is some, else nobody. PostgreSQL refuses to run as root.

    Raises:
        CannotStart: the data belong to somebody else.
    """
    owner = folder.stat().st_uid
    if os.geteuid() == 0:
        return owner or NOBODY
    if owner != os.geteuid():
        raise CannotStart(
            f"The data in {folder} belong to another user (number {owner}): start as that user, or set ZENDING_HOME "
            "to a folder of your own."
        )
    return None


def private_folder(folder: Path) -> None:
    """Make a folder that only we may enter; leave one that exists as it is.

    Raises:
        CannotStart: it can't be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"The folder {folder} can't be made ({error.strerror}): set ZENDING_HOME to a folder that you may write."
        ) from None
