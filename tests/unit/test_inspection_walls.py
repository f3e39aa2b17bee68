"""The seccomp filter's program, run here on made-up calls for both machines, and the wire between child and parent."""

import errno
import struct

import pytest

from service.inspection import findings, seccomp
from service.inspection.codes import REFUSALS
from service.inspection.findings import Answer, Findings, Note

ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# System calls by name, from the kernel's own tables (arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h).
NUMBERS = {
    "x86_64": {
        "read": 0, "write": 1, "open": 2, "mmap": 9, "mprotect": 10, "ioctl": 16, "socket": 41, "connect": 42,
        "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "fcntl": 72, "ptrace": 101,
        "setuid": 105, "prctl": 157, "tkill": 200, "tgkill": 234, "openat": 257, "unshare": 272, "prlimit64": 302,
        "process_vm_readv": 310, "memfd_create": 319, "bpf": 321, "execveat": 322, "pkey_mprotect": 329,
        "io_uring_setup": 425, "pidfd_send_signal": 424, "clone3": 435, "openat2": 437, "exit_group": 231,
        "getrandom": 318, "futex": 202, "munmap": 11, "brk": 12,
    },
    "aarch64": {
        "read": 63, "write": 64, "mmap": 222, "mprotect": 226, "ioctl": 29, "socket": 198, "connect": 203,
        "socketpair": 199, "clone": 220, "execve": 221, "kill": 129, "fcntl": 25, "ptrace": 117, "setuid": 146,
        "prctl": 167, "tkill": 130, "tgkill": 131, "openat": 56, "unshare": 97, "prlimit64": 261,
        "process_vm_readv": 270, "memfd_create": 279, "bpf": 280, "execveat": 281, "pkey_mprotect": 288,
        "io_uring_setup": 425, "pidfd_send_signal": 424, "clone3": 435, "openat2": 437, "exit_group": 94,
        "getrandom": 278, "futex": 98, "munmap": 215, "brk": 214,
    },
}  # fmt: skip
HARMLESS = {"read", "write", "munmap", "brk", "futex", "getrandom", "exit_group"}
JUDGED_BY_ARGUMENT = {"mmap", "mprotect", "fcntl"}


def verdict(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """Run the filter as the kernel would, on one call."""
    code = seccomp.program(machine)
    steps = [struct.unpack_from("<HBBI", code, at) for at in range(0, len(code), 8)]
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, AUDIT[machine] if audit is None else audit, 0, *padded)
    at, held = 0, 0
    while True:
        kind, then, otherwise, k = steps[at]
        at += 1
        if kind == 0x20:
            (held,) = struct.unpack_from("<I", data, k)
        elif kind == 0x06:
            return int(k)
        else:
            holds = {0x15: held == k, 0x35: held >= k, 0x45: bool(held & k)}[kind]
            at += then if holds else otherwise


@pytest.mark.parametrize("machine", AUDIT)
def test_only_reading_writing_memory_and_ending_are_allowed(machine: str) -> None:
    for name, number in NUMBERS[machine].items():
        if name not in JUDGED_BY_ARGUMENT:
            assert verdict(machine, number) == (ALLOW if name in HARMLESS else REFUSE), name


@pytest.mark.parametrize("machine", AUDIT)
def test_memory_can_be_had_but_not_made_executable(machine: str) -> None:
    for name in ("mmap", "mprotect"):
        number = NUMBERS[machine][name]
        assert verdict(machine, number, 0, 4096, 3) == ALLOW
        assert verdict(machine, number, 0, 4096, 7) == REFUSE
        assert verdict(machine, number, 0, 4096, 4) == REFUSE


@pytest.mark.parametrize("machine", AUDIT)
def test_a_process_may_ask_about_its_files_and_nothing_else_of_them(machine: str) -> None:
    numbers = NUMBERS[machine]
    assert [verdict(machine, numbers["fcntl"], 3, command) for command in (1, 3)] == [ALLOW, ALLOW]
    assert {verdict(machine, numbers["fcntl"], 3, command) for command in (0, 2, 4, 8, 1024, 1033)} == {REFUSE}


@pytest.mark.parametrize("machine", AUDIT)
def test_calls_of_another_machine_end_the_process(machine: str) -> None:
    assert verdict(machine, 0, audit=0x40000003) == KILL
    if machine == "x86_64":
        assert verdict(machine, 0x40000000) == KILL


def test_a_machine_without_a_filter_reads_no_document() -> None:
    with pytest.raises(seccomp.SandboxMissing, match="riscv64"):
        seccomp.program("riscv64")


def test_an_answer_comes_back_as_it_was_written() -> None:
    said = Findings(pages=3, signatures=1, certified=True, pdf_version="1.7", notes=(Note("no_text", 2),))
    wire = b"".join(findings.encode(Answer(said, b"new file", (b"", b"attached"))))
    read = findings.decode(wire)
    assert (read.replacement, read.attached) == (b"new file", (b"", b"attached"))
    assert read.findings.notes == said.notes


@pytest.mark.parametrize("code", REFUSALS)
def test_every_refusal_comes_back_as_it_was_written(code: str) -> None:
    wire = b"".join(findings.encode(Answer(Findings(refusal=code))))
    assert findings.decode(wire).findings.refusal == code


@pytest.mark.parametrize("cut", [0, 3, 4, 20, -1])
def test_an_answer_cut_short_is_malformed(cut: int) -> None:
    wire = b"".join(findings.encode(Answer(Findings(pages=1, pdf_version="1.7"), b"file")))
    with pytest.raises(findings.MalformedAnswer):
        findings.decode(wire[:cut])
