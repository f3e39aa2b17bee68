"""A batch that was cut before its print house had a key, or another way: nothing of it leaves in the old form."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pyrage import x25519

from printing.encryption import open_with
from printing.errors import Problem, ProviderUnavailable
from printing.manifest import read_manifest
from printing.providers.directory import DirectoryProvider
from service.printers.wired import Printers
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.print_http_support import http_house
from tests.usecase_support import Sender, change, orphans, status

ADDRESS = {"name": "Jan Claes", "street": "Dorp", "number": "1", "postcode": "9000", "municipality": "Ergens"}
OWN = x25519.Identity.generate()


class Dying(DirectoryProvider):
    """A folder whose transfers break off half way."""

    def upload(self, parcel: object, data: object) -> object:  # type: ignore[override]
        assert isinstance(data, bytes)
        (self._folder / parcel.temporary).write_bytes(data[:1000])  # type: ignore[attr-defined]
        raise ProviderUnavailable(Problem("PROVIDER_UNAVAILABLE", "It broke off."))


@pytest.mark.parametrize("way", ["folder", "http"])
def test_a_batch_that_was_made_in_another_form_is_made_anew(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, way: str
) -> None:
    sender, first = organisation(), pipeline.context.printers.first
    out: Path = pipeline.application.settings.print_folder
    keys = (str(OWN.to_public()),)
    # In clear, or sealed whole; it was made, and half of it was brought.
    before = replace(first, provider=Dying(out), recipients=keys if way == "http" else ())
    change(pipeline, printers=Printers([before]))
    delivery = pipeline.hand_in(sender, "jan", postal_address=ADDRESS).delivery_id
    pipeline.work()
    pipeline.close_batches()
    pipeline.work()
    ((name, path),) = execute(database, "SELECT file_name, path FROM print_batch")
    assert path is not None
    assert status(pipeline, sender, delivery) == "batched"
    with http_house() as remote:
        remote.house.identity = str(OWN)
        after = replace(first, recipients=keys, by_letter=way == "http")
        change(pipeline, printers=Printers([replace(after, provider=remote.provider()) if way == "http" else after]))
        # The first try finds that it must be made anew, the second one makes and brings it.
        for _ in range(2):
            execute(database, "UPDATE job SET due_at = now()")
            pipeline.work()
        assert status(pipeline, sender, delivery) == "handed_over"
        ((now, anew),) = execute(database, "SELECT file_name, path FROM print_batch")
        assert now == name.removesuffix(".age") + ".age"
        assert anew != path
        if way == "http":
            letters = remote.house.batches[now].letters
            assert [each["id"] for each in letters.values()] == [f"{delivery}-1"]
        else:
            assert [each.name for each in out.iterdir()] == [now]
            manifest = read_manifest(BytesIO(open_with(str(OWN), (out / now).read_bytes())))
            assert [each.id for each in manifest.letters] == [f"{delivery}-1"]
    assert execute(database, "SELECT path FROM vault_removal") == [(path,)]
    assert orphans(database) == 0
