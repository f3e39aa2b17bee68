"""The way over S3 on a store that institutions run: what of the contract rests on how a store keeps its objects.

All of the contract is held on moto (test_print_providers.py); a copy, a listing, a size and a digest that is read back
are another store's own doing.
"""

from pathlib import Path

import pytest

from printing.errors import ProviderUnavailable
from printing.providers.base import RemoteKind, hand_over
from tests.contract.test_print_providers import (
    Dying,
    Killed,
    Ledger,
    test_a_broken_upload_is_seen_never_published_and_repaired,
    test_everything_may_be_repeated,
    test_what_is_discarded_leaves_nothing_and_may_be_brought_again,
    test_what_the_receiver_took_away_is_not_published_again,
    test_whole_files_of_the_inbox_are_listed_fetched_and_removed,
    test_with_both_names_present_the_parcel_is_handed_over_and_the_rest_is_taken_away,
)
from tests.print_s3_support import S3Remote
from tests.print_way_support import DATA
from tests.s3_support import S3

__all__ = [
    "test_a_broken_upload_is_seen_never_published_and_repaired",
    "test_everything_may_be_repeated",
    "test_what_is_discarded_leaves_nothing_and_may_be_brought_again",
    "test_what_the_receiver_took_away_is_not_published_again",
    "test_whole_files_of_the_inbox_are_listed_fetched_and_removed",
    "test_with_both_names_present_the_parcel_is_handed_over_and_the_rest_is_taken_away",
]


@pytest.fixture
def remote(ceph: S3, tmp_path: Path) -> S3Remote:
    return S3Remote(ceph, tmp_path)


@pytest.mark.parametrize("fetching", [False, True], ids=["receiver waits", "receiver fetches at once"])
def test_whenever_the_process_dies_the_parcel_is_printed_once(remote: S3Remote, *, fetching: bool) -> None:
    ledger = Ledger(remote)
    for moment in ("before upload", "after upload", "before publish", "after publish"):
        with pytest.raises(Killed):
            hand_over(
                Dying(remote.provider(), moment),  # type: ignore[arg-type]  # forwards every act
                remote.parcel,
                DATA,
                uploaded=ledger.uploaded,
                commit_uploaded=ledger.commit,
            )
        if fetching:
            ledger.fetch()
    for _ in range(2):
        ledger.hand_over()
        ledger.fetch()
    assert ledger.printed == [DATA]


def test_a_death_between_copy_and_deletion_is_a_hand_over(remote: S3Remote) -> None:
    remote.provider().upload(remote.parcel, DATA)
    where = {"Bucket": remote.bucket, "Key": f"out/{remote.parcel.name}"}
    remote.client.copy_object(**where, CopySource=f"{remote.bucket}/out/{remote.parcel.temporary}")
    assert remote.provider().state(remote.parcel).kind is RemoteKind.HANDED_OVER
    remote.provider().publish(remote.parcel)
    assert remote.names() == {remote.parcel.name}


def test_a_bucket_that_is_gone_is_away(remote: S3Remote) -> None:
    remote.lose()
    with pytest.raises(ProviderUnavailable):
        remote.provider().state(remote.parcel)
