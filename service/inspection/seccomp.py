"""A seccomp filter for a process that reads what it was given, computes and answers, and does nothing else.

It is an allow-list: a system call that is not on it fails with EPERM. So there is no opening of files, no socket, no
program to start, no process or thread to make, no signal to anybody; memory can be had but never made executable.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2

# linux/bpf_common.h and linux/seccomp.h
_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_JUMP_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06
_KILL: Final = 0x80000000  # SECCOMP_RET_KILL_PROCESS
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.EPERM

# Offsets in struct seccomp_data; both machines are little-endian, so the low half of an argument comes first.
_NUMBER: Final = 0
_MACHINE: Final = 4
_ARGUMENTS: Final = 16

_PROT_EXEC: Final = 4
_F_GETFD: Final = 1
_F_GETFL: Final = 3
_X32: Final = 0x40000000


class SandboxMissing(Exception):
    """This machine cannot hold a child back, so no document is read on it."""


@dataclass(frozen=True, slots=True)
class _Machine:
    """A processor's AUDIT_ARCH value and the numbers of its system calls."""

    audit: int
    free: tuple[int, ...]
    mmap: int
    mprotect: int
    fcntl: int


# asm/unistd_64.h: read write close fstat poll lseek munmap brk rt_sigaction rt_sigprocmask rt_sigreturn pread64 readv
# writev sched_yield mremap madvise nanosleep getpid exit gettid futex clock_gettime clock_nanosleep exit_group
# newfstatat restart_syscall sigaltstack getrusage gettimeofday ppoll getrandom
_X86_64: Final = _Machine(
    audit=0xC000003E,
    free=(
        *(0, 1, 3, 5, 7, 8, 11, 12, 13, 14, 15, 17, 19, 20, 24, 25, 28, 35, 39, 60, 186, 202),
        *(228, 230, 231, 262, 219, 131, 98, 96, 271, 318),
    ),
    mmap=9,
    mprotect=10,
    fcntl=72,
)
# asm-generic/unistd.h: the same calls; poll does not exist there, ppoll takes its place
_AARCH64: Final = _Machine(
    audit=0xC00000B7,
    free=(
        *(63, 64, 57, 80, 62, 215, 214, 134, 135, 139, 67, 65, 66, 124, 216, 233, 101, 172, 93, 178, 98),
        *(113, 115, 94, 79, 128, 132, 165, 169, 73, 278),
    ),
    mmap=222,
    mprotect=226,
    fcntl=25,
)
_MACHINES: Final = {"x86_64": _X86_64, "aarch64": _AARCH64}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _step(code: int, k: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("<HBBI", code, then, otherwise, k)


def _argument(number: int, position: int, verdict: Sequence[bytes]) -> list[bytes]:
    """For system call `number`, look at one argument and end with `verdict`; other calls jump over."""
    body = [_step(_LOAD, _ARGUMENTS + 8 * position), *verdict]
    return [_step(_JUMP_EQUAL, number, 0, len(body)), *body]


def program(machine: str) -> bytes:
    """The filter's instructions on `machine` ("x86_64", "aarch64").

    Raises:
        SandboxMissing: no filter is written for this machine.
    """
    calls = _MACHINES.get(machine)
    if calls is None:
        raise SandboxMissing(f"no seccomp filter for {machine}; documents are inspected on x86_64 and aarch64 only")
    allow, refuse = _step(_RETURN, _ALLOW), _step(_RETURN, _REFUSE)
    no_exec = [_step(_JUMP_ANY_BIT, _PROT_EXEC, 0, 1), refuse, allow]
    steps = [
        _step(_LOAD, _MACHINE),
        _step(_JUMP_EQUAL, calls.audit, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    if calls is _X86_64:
        steps += [_step(_JUMP_AT_LEAST, _X32, 0, 1), _step(_RETURN, _KILL)]
    for number in calls.free:
        steps += [_step(_JUMP_EQUAL, number, 0, 1), allow]
    steps += _argument(calls.mmap, 2, no_exec)
    steps += _argument(calls.mprotect, 2, no_exec)
    only_reading = [_step(_JUMP_EQUAL, _F_GETFD, 1, 0), _step(_JUMP_EQUAL, _F_GETFL, 0, 1), allow, refuse]
    steps += _argument(calls.fcntl, 1, only_reading)
    return b"".join([*steps, refuse])


def property_of_process(option: int, value: int, pointer: int = 0) -> Callable[[], None]:
    """The call that changes a property of the process it is made in; the manual page is prctl in section 2.

    Made before a fork and called after it, it costs the child no more than the system call.

    Raises:
        OSError: the kernel refused; raised by the call.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    call, number = libc.prctl, ctypes.c_int(option)
    arguments = [ctypes.c_ulong(each) for each in (value, pointer, 0, 0)]

    def change() -> None:
        if call(number, *arguments) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    return change


def forbid_new_privileges() -> None:
    """From here on no set-user-id program can give this process or its children anything."""
    property_of_process(_PR_SET_NO_NEW_PRIVS, 1)()


class Filter:
    """The filter, compiled once for all children.

    Raises:
        SandboxMissing: no filter is written for this machine.
    """

    def __init__(self) -> None:
        instructions = program(platform.machine())
        self._instructions = ctypes.create_string_buffer(instructions, len(instructions))
        self._program = _Program(len(instructions) // 8, ctypes.addressof(self._instructions))
        self._put_on = property_of_process(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(self._program))

    def put_on(self) -> None:
        """Put the filter on this process, which must have given up new privileges; there is no way back.

        Raises:
            SandboxMissing: the kernel or the processor has no such filter.
        """
        try:
            self._put_on()
        except OSError as error:
            raise SandboxMissing("the kernel refuses a seccomp filter, so no document can be read safely") from error
