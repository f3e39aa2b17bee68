"""A whole S3 server in a process of its own (moto's), which checks who signs requests; and a proxy that lies.

Moto is an emulator: it speaks the protocol as AWS documents it, with signatures, conditional writes and paged listings,
and keeps its objects in memory. What it doesn't show is how a certain product stores things on its disks.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]

BUCKET = "zending"
REGION = "eu-west-1"
_SETTING_UP = 4
"""Requests that need no permission: a user, their key, their policy, the bucket. From then on everything does."""
_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@dataclass(frozen=True)
class S3:
    """A running server, a bucket in it, and who may use that."""

    endpoint: str
    key: str
    secret: str = field(repr=False)
    pid: int = 0
    placed: bool = True
    """Whether a new bucket's region must be named."""

    @property
    def credentials(self) -> dict[str, str]:
        """What the service's processes need in their environment."""
        return {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}

    def address(self, folder: str = "vault", *, endpoint: str | None = None, **options: str) -> str:
        """The value of STORAGE_URL for a folder of the bucket."""
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"s3://{BUCKET}/{folder}?endpoint={endpoint or self.endpoint}&region={REGION}&allow_http=yes{more}"

    def client(self) -> Any:
        """Somebody else's way to the same objects."""
        return _client("s3", self.endpoint, self.key, self.secret)

    def objects(self) -> dict[str, bytes]:
        """Everything in the bucket."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


@contextmanager
def s3_server() -> Iterator[S3]:
    """Run the server on a free port of this machine until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_SETTING_UP)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _set_up(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def _set_up(endpoint: str, process: subprocess.Popen[bytes]) -> S3:
    _wait_for(endpoint, process)
    iam = _client("iam", endpoint, "nobody", "nothing")
    iam.create_user(UserName="zending")
    made = iam.create_access_key(UserName="zending")["AccessKey"]
    iam.put_user_policy(UserName="zending", PolicyName="all", PolicyDocument=json.dumps(_EVERYTHING))
    server = S3(endpoint, made["AccessKeyId"], made["SecretAccessKey"], process.pid)
    server.client().create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return server


def _wait_for(endpoint: str, process: subprocess.Popen[bytes], *, seconds: float = 90.0) -> None:
    host, _, port = endpoint.removeprefix("http://").partition(":")
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError("the S3 server did not come up")


def _client(what: str, endpoint: str, key: str, secret: str) -> Any:
    retries = Config(retries={"total_max_attempts": 1}, proxies={}, s3={"addressing_style": "path"})
    return boto3.client(
        what, endpoint_url=endpoint, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret,
        config=retries,
    )  # fmt: skip
