"""The steps of the work on a real database, taken one by one in this process."""

import uuid
from collections.abc import Callable

import pytest

from service.db.jobs import JobKind
from service.ledger.verify import verify_evidence
from service.usecases import deliveries
from tests.pipeline_support import Pipeline


def test_a_letter_goes_its_whole_way_step_by_step(pipeline: Pipeline, organisation: Callable[..., uuid.UUID]) -> None:
    sender = organisation()
    handed = pipeline.hand_in(sender, "jan")
    assert JobKind.SEAL in pipeline.woken
    statuses = []
    for act in (
        lambda: pipeline.work(JobKind.SEAL),
        lambda: pipeline.work(JobKind.ROUTE, JobKind.LETTER),
        pipeline.close_batches,
        pipeline.work,
    ):
        act()
        statuses.append(deliveries.get(pipeline.context, sender, handed.delivery_id).status)
    assert statuses == ["sealed", "to_print", "batched", "handed_over"]
    assert len(list((pipeline.application.settings.print_folder).glob("PRT_*.ZIP"))) == 1

    pipeline.sequence()
    entries = deliveries.evidence_list(pipeline.context, sender, handed.delivery_id)
    assert [entry.event for entry in entries] == ["SubmissionAcceptance", "RelayToNonERDS"]
    assert all(entry.published for entry in entries)
    for entry in entries:
        found = deliveries.evidence_one(pipeline.context, sender, handed.delivery_id, entry.id)
        checks = verify_evidence(found, pipeline.application.log_signer.vkeys)
        assert [check for check in checks if check.ok is False] == []


def test_each_test_has_a_database_of_its_own(pipeline: Pipeline) -> None:
    with pipeline.context.database.transaction() as session:
        for table in ("job", "ledger_leaf", "client"):
            count = session.connection().exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
            assert count == 0, table


@pytest.mark.parametrize("slug", ["een", "twee"])
def test_organisations_are_made_with_a_seal_of_their_own(
    pipeline: Pipeline, organisation: Callable[..., uuid.UUID], slug: str
) -> None:
    assert organisation(slug) == organisation(slug)
    assert (pipeline.application.settings.keys_folder / "seals" / f"{slug}.cert.pem").exists()
