"""The far side of S3: a bucket of a server, as its owner sees it."""

import uuid
from pathlib import Path

from printing.providers import staged
from printing.providers.base import PrintProvider
from printing.providers.s3 import Bucket, S3Provider
from tests.print_way_support import PARCEL
from tests.s3_support import REGION, S3


class S3Remote:
    """Each has a bucket of its own."""

    bounded: tuple[object, ...] = (staged,)
    parcel = PARCEL

    def __init__(self, server: S3, folder: Path) -> None:
        self.server, self.bucket = server, uuid.uuid4().hex
        self.client = server.client()
        # A store of one's own is one place; Amazon's wants to be told which.
        where = {"CreateBucketConfiguration": {"LocationConstraint": REGION}} if server.placed else {}
        self.client.create_bucket(Bucket=self.bucket, **where)
        self.key_file = folder / "s3.key"
        self.key_file.write_text(f"{server.key}\n{server.secret}\n")

    def provider(self) -> PrintProvider:
        return S3Provider(
            Bucket(
                endpoint=self.server.endpoint,
                bucket=self.bucket,
                region=REGION,
                key_file=self.key_file,
                folder="out",
                incoming="in",
                allow_http=True,
                seconds=10,
            )
        )

    def _names(self, folder: str) -> set[str]:
        below = folder + "/"
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=below)
        return {each["Key"].removeprefix(below) for each in found.get("Contents", ())}

    def _key(self, name: str, folder: str = "out") -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": f"{folder}/{name}"}

    def names(self) -> set[str]:
        return self._names("out")

    def read(self, name: str) -> bytes:
        content: bytes = self.client.get_object(**self._key(name))["Body"].read()
        return content

    def put(self, name: str, data: bytes) -> None:
        self.client.put_object(**self._key(name), Body=data)

    def take_away(self, name: str) -> bytes:
        data = self.read(name)
        self.client.delete_object(**self._key(name))
        return data

    def tell(self, name: str, data: bytes) -> None:
        self.client.put_object(**self._key(name, "in"), Body=data)

    def told(self) -> set[str]:
        return self._names("in")

    def lose(self) -> None:
        """A bucket that is gone is the worst of it: a store that answers, and has nothing."""
        for folder in ("out", "in"):
            for name in self._names(folder):
                self.client.delete_object(**self._key(name, folder))
        self.client.delete_bucket(Bucket=self.bucket)
