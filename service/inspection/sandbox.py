"""The walls around a document's reader: user, network, memory, time, files, system calls.

`confine_helper` is called once in the helper, `confine_child` in each child right after the fork.
"""

import ctypes
import os
import resource
import signal
from typing import Final

from service.inspection import seccomp
from service.inspection.limits import InspectionLimits

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_CLONE_NEWNET: Final = 0x40000000
_CLONE_NEWIPC: Final = 0x08000000
_NOBODY: Final = 65534


def confine_helper() -> dict[str, bool]:
    """Give up what a reader never needs: the network, root, new privileges, being looked into.

    Call it after the last import: as ``nobody`` the checkout may be out of reach.

    Returns:
        ``no_network``: in a network namespace without interfaces; ``unprivileged``: not root. Both add to the
        children's seccomp filter, which stands alone where they cannot be had (an ordinary user, a container whose
        root is bare).
    """
    walls = {"no_network": False, "unprivileged": os.geteuid() != 0}
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        walls["no_network"] = libc.unshare(_CLONE_NEWNET | _CLONE_NEWIPC) == 0
        walls["unprivileged"] = _become_nobody()
    seccomp.forbid_new_privileges()
    seccomp.prctl(_PR_SET_DUMPABLE, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return walls


def _become_nobody() -> bool:
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:
        # A container may map no other user than its root; the seccomp filter of the children is still to come.
        return False
    return True


def confine_child(limits: InspectionLimits, helper: int) -> None:
    """Bound this process and shut it in; `helper` is the parent's process id.

    Raises:
        seccomp.SandboxMissing: the filter cannot be put on; the caller must read nothing.
    """
    # The signal is bound to the thread that forked: the helper has only one.
    seccomp.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != helper:
        os._exit(1)
    seconds = max(1, int(limits.wall + 0.999))
    bounds = {
        resource.RLIMIT_AS: limits.address_space,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_NOFILE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    for kind, bound in bounds.items():
        _lower(kind, bound, bound)
    _lower(resource.RLIMIT_CPU, seconds, seconds + 1)
    seccomp.install()


def _lower(kind: int, soft: int, hard: int) -> None:
    """Set a limit, keeping a hard one that is tighter already."""
    _, present = resource.getrlimit(kind)
    hard = hard if present == resource.RLIM_INFINITY else min(hard, present)
    resource.setrlimit(kind, (min(soft, hard), hard))
