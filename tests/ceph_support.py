"""A real object store on a disk: Ceph's RADOS gateway with a monitor and one OSD, all in a folder.

Where moto (tests/s3_support.py) speaks S3 out of memory, this is what institutions run: it keeps objects on a disk,
decides itself which of two writers was first, and its listing comes from an index of its own. One replica, no
authentication between its own parts, loopback only; whoever asks for objects signs as anywhere.
"""

from __future__ import annotations

import secrets
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes_support import Processes, answers, free_port, plain_environment
from tests.s3_support import BUCKET, S3
from tests.service_support import until
from tests.tools_support import program

HOST = "127.0.0.1"
_DISK = 4 * 1024**3
"""Bytes of the OSD's disk: a file with holes."""
_SETTINGS = """
[global]
fsid = {cluster}
mon host = {monitor}
ms bind msgr1 = false
public addr = {host}
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 2
osd crush chooseleaf type = 0
osd objectstore = bluestore
bluestore block create = true
bluestore block size = {disk}
bluestore block db size = 0
bluestore block wal size = 0
osd memory target = 939524096
mon data = {folder}/mon
osd data = {folder}/osd
run dir = {folder}
admin socket = {folder}/$name.sock
log file = {folder}/$name.log
keyring = {folder}/none

[client.rgw]
ms mon client mode = crc
auth client required = none
rgw data = {folder}/rgw
rgw frontends = beast endpoint={host}:{port}
"""


@contextmanager
def ceph_server(folder: Path) -> Iterator[S3]:
    """Run it in an empty folder until the block ends; a bucket is in it."""
    port, monitor, cluster, osd = free_port(HOST), f"v2:{HOST}:{free_port(HOST)}/0", str(uuid.uuid4()), uuid.uuid4()
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir()
    settings = folder / "ceph.conf"
    settings.write_text(
        _SETTINGS.format(cluster=cluster, monitor=monitor, host=HOST, port=port, disk=_DISK, folder=folder)
    )
    made, servers = ("-c", str(settings)), Processes(folder)
    _run("monmaptool", "--create", "--addv", "a", monitor, "--fsid", cluster, str(folder / "monmap"))
    _run("ceph-mon", *made, "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"))
    try:
        servers.start("monitor", (program("ceph-mon"), *made, "-i", "a", "-f"), plain_environment())
        _run("ceph", *made, "osd", "new", str(osd))
        _run("ceph-osd", *made, "-i", "0", "--mkfs", "--osd-uuid", str(osd))
        servers.start("osd", (program("ceph-osd"), *made, "-i", "0", "-f"), plain_environment())
        key, secret = secrets.token_hex(10), secrets.token_hex(20)
        who = ("--uid=zending", "--display-name=zending", f"--access-key={key}", f"--secret={secret}")
        _run("radosgw-admin", *made, "-n", "client.rgw", "user", "create", *who)
        servers.start("gateway", (program("radosgw"), *made, "-n", "client.rgw", "-f"), plain_environment())
        until(lambda: answers(HOST, port), "the RADOS gateway")
        server = S3(f"http://{HOST}:{port}", key, secret, placed=False)
        server.client().create_bucket(Bucket=BUCKET)
        yield server
    finally:
        servers.kill()


def _run(name: str, *arguments: str) -> None:
    done = subprocess.run(
        [program(name), *arguments], env=plain_environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{name}: {done.stdout[-500:]}{done.stderr[-1500:]}"
