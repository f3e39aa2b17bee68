"""An upload whose machine is lost while it is under way."""

import os
import uuid
import zipfile

import httpx
import pytest

from service.usecases.submission_files import PART_BYTES
from tests.apart_support import Apart
from tests.service_support import until
from tests.submission_support import PDF, line, packed

pytestmark = pytest.mark.machines


def test_an_upload_that_a_lost_machine_took_in_goes_on_at_another(apart: Apart) -> None:
    """Its parts lie in the store and their count in the database: no machine holds anything of an upload."""
    mark = uuid.uuid4().hex[:8]
    lines = [line("jan", f"{number}.pdf", reference=f"{mark}-{number}") for number in range(3)]
    padding = os.urandom(PART_BYTES)
    files = {f"{number}.pdf": PDF + b"\n%" + padding[number:].hex().encode()[:PART_BYTES] for number in range(3)}
    content = packed(lines, files, method=zipfile.ZIP_STORED)
    headers = {
        "Authorization": f"Bearer {apart.running.token()}",
        "Content-Type": "application/partial-upload",
        "Idempotency-Key": mark,
    }
    for name in ("api-1", "api-2"):
        apart.installation.wait_until_ready(name)
    first, second = (apart.installation.address(name) for name in ("api-1", "api-2"))
    # A line for each request: one that was kept open to a lost machine ends at the machine that comes in its place.
    alone = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(headers=headers, trust_env=False, timeout=60.0, limits=alone) as client:
        asked = {"size": len(content), "dry_run": True}
        made = client.post(f"{first}/v1/submissions", json=asked, headers={"Content-Type": "application/json"})
        assert made.status_code == httpx.codes.CREATED, made.text
        place = f"/v1/submissions/{made.json()['id']}"

        def upload(base: str, at: int, end: int) -> httpx.Response:
            more = {"Upload-Offset": str(at), "Upload-Complete": "?1" if end == len(content) else "?0"}
            return client.patch(f"{base}{place}/content", content=content[at:end], headers=more)

        at = PART_BYTES + 1000
        assert upload(first, 0, at).headers["Upload-Offset"] == str(at)
        apart.machine("api-1").lose()
        assert client.head(f"{second}{place}/content").headers["Upload-Offset"] == str(at)
        assert upload(second, at, 2 * at).headers["Upload-Offset"] == str(2 * at)
        apart.installation.replace("api-1")
        apart.installation.wait_until_ready("api-1")
        done = upload(first, 2 * at, len(content))
        assert (done.status_code, done.headers["Upload-Complete"]) == (httpx.codes.NO_CONTENT, "?1"), done.text
        found = until(
            lambda: (seen := client.get(f"{second}{place}").json())["state"] in ("checked", "refused") and seen,
            "the rows to be checked",
        )
    assert (found["state"], found["rows"]["good"]) == ("checked", len(lines)), found
