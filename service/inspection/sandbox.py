"""The walls around a document's reader: user, network, memory, time, files, system calls.

`confine_helper` is called once in the helper; `ChildWalls` are made there and closed in each child after the fork.
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
_NOTHING_OF: Final = (
    resource.RLIMIT_CORE,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_MEMLOCK,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_NPROC,
)


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
    seccomp.property_of_process(_PR_SET_DUMPABLE, 0)()
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


class ChildWalls:
    """What bounds and shuts in a child, made ready by the helper, whose process id is `helper`.

    A child copies each page it writes, so what can be worked out beforehand is not worked out in it.

    Raises:
        seccomp.SandboxMissing: no filter is written for this machine.
    """

    def __init__(self, limits: InspectionLimits, helper: int) -> None:
        self._helper = helper
        self._bounds = [
            _no_higher(resource.RLIMIT_AS, limits.address_space),
            *(_no_higher(kind, 0) for kind in _NOTHING_OF),
            _no_higher(resource.RLIMIT_CPU, limits.processor, limits.processor + 1),
        ]
        # The signal is bound to the thread that forked: the helper has only one.
        self._die_with_helper = seccomp.property_of_process(_PR_SET_PDEATHSIG, signal.SIGKILL)
        self._filter = seccomp.Filter()

    def close(self) -> None:
        """Bound this process and shut it in; there is no way back.

        Raises:
            seccomp.SandboxMissing: the filter cannot be put on; the caller must read nothing.
        """
        self._die_with_helper()
        if os.getppid() != self._helper:
            os._exit(1)
        for kind, bound in self._bounds:
            resource.setrlimit(kind, bound)
        self._filter.put_on()


def _no_higher(kind: int, soft: int, hard: int | None = None) -> tuple[int, tuple[int, int]]:
    """A limit for `setrlimit`, keeping a hard one that is tighter already."""
    hard = soft if hard is None else hard
    _, present = resource.getrlimit(kind)
    hard = hard if present == resource.RLIM_INFINITY else min(hard, present)
    return kind, (min(soft, hard), hard)
