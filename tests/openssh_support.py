"""OpenSSH's own server over folders of this machine: the far side that most print houses run."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import asyncssh

from printing.providers.base import PrintProvider
from printing.providers.sftp import SftpProvider, SftpServer
from tests.print_way_support import DirectoryRemote
from tests.processes_support import answers, free_port
from tests.sftp_support import key
from tests.tools_support import program

# The user that root lets it run as, so that it needs no account and no folder of its own.
_USER: Final = "daemon"
_HOST: Final = "127.0.0.1"
_SETTINGS: Final = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {home}/host
HostKey {home}/second
AuthorizedKeysFile {home}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
ForceCommand internal-sftp
"""


@cache
def second_key() -> asyncssh.SSHKey:
    """A key of another kind that the server has too, as most servers do."""
    return asyncssh.generate_private_key("ecdsa-sha2-nistp256")


class OpensshRemote(DirectoryRemote):
    """The far side of an OpenSSH server: its owner sees folders."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.home, self.port = home, free_port(_HOST)
        self.user = pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() else _USER
        self.key_file = home / "client"
        key("client").write_private_key(self.key_file)
        for name, pair in (("host", key("host")), ("second", second_key())):
            pair.write_private_key(home / name)
            (home / name).chmod(0o600)
        (home / "authorized").write_bytes(key("client").export_public_key())
        (home / "settings").write_text(_SETTINGS.format(port=self.port, home=home))
        for path in (home, *home.iterdir()):
            self._give(path)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self, most: int | None = None) -> None:
        """Start it, and wait until it listens.

        Args:
            most: the kernel ends a session that makes a file of more bytes than these, in the middle of its work.
        """
        bound = () if most is None else (program("prlimit"), f"--fsize={most}")
        command = (*bound, program("sshd"), "-D", "-e", "-f", str(self.home / "settings"))
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam(self.user)
            who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        with (self.home / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **who)
        until = time.monotonic() + 10
        while not answers(_HOST, self.port):
            if self._process.poll() is not None or time.monotonic() > until:
                raise AssertionError((self.home / "log").read_text())
            time.sleep(0.02)

    def put(self, name: str, data: bytes) -> None:
        """As if the server had written it."""
        super().put(name, data)
        self._give(self.folder / name)

    def tell(self, name: str, data: bytes) -> None:
        """As if the server had written it."""
        super().tell(name, data)
        self._give(self.inbox / name)

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0:
            shutil.chown(path, self.user, self.user)

    def lose(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def address(self, **changes: Any) -> SftpServer:
        """As a print house is described."""
        given: dict[str, Any] = {
            "host": _HOST,
            "port": self.port,
            "user": self.user,
            "host_key": key("host").export_public_key().decode(),
            "key_file": self.key_file,
            "folder": str(self.folder),
            "incoming": str(self.inbox),
            "seconds": 5.0,
        }
        return SftpServer(**given | changes)

    def provider(self, **changes: Any) -> PrintProvider:
        """A fresh object, as after a restart."""
        return SftpProvider(self.address(**changes))


@contextmanager
def openssh() -> Iterator[OpensshRemote]:
    """A server of its own; the test is skipped where OpenSSH's is not installed."""
    program("sshd")
    # Not pytest's folder, into which no other user can look.
    with tempfile.TemporaryDirectory(prefix="openssh-") as home:
        remote = OpensshRemote(Path(home))
        try:
            yield remote
        finally:
            remote.lose()
