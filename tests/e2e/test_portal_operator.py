"""Operators at their pages: what is wrong, what is paused, and a job that two of them bring to an end."""

import uuid

import psycopg
import pytest

from service.db.ids import ORGANISATION, public_id
from tests.portal_walk_support import Walk
from tests.service_support import RunningService

pytestmark = pytest.mark.browser


def rows(service: RunningService, statement: str, *values: object) -> list[tuple[object, ...]]:
    url = service.environment["DATABASE_URL"].replace("+psycopg", "", 1)
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def test_an_operator_sees_how_it_is_in_every_language(walk: Walk) -> None:
    for language, heading, name in (
        ("en", "How it is", "operator-status"),
        ("nl", "Hoe het gaat", "operator-status-nl"),
        ("fr", "État du service", "operator-status-fr"),
        ("de", "Stand der Dinge", "operator-status-de"),
    ):
        olga = walk(language=language)
        olga.go("/home", "olga")
        olga.sees(heading)
        olga.look(name)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_work_is_paused_and_goes_on(walk: Walk, service: RunningService, *, scripts: bool) -> None:
    # An organisation that sends nothing here, so that nobody else waits.
    ((organisation,),) = rows(service, "SELECT id FROM organisation WHERE slug = 'voorbeeldegem'")
    assert isinstance(organisation, uuid.UUID)
    olga = walk(scripts=scripts)
    olga.go("/operator/pauses", "olga")
    olga.press("Let it wait")
    olga.sees("Pauses")
    olga.look(f"operator-pauses-wrong-{scripts}")
    assert "There is a problem" in olga.page.inner_text("main")
    olga.page.fill("#organisation", public_id(ORGANISATION, organisation))
    olga.page.select_option("#kind", "letter")
    olga.page.fill("#reason", "The paper is wet")
    olga.press("Let it wait")
    olga.page.get_by_text("The paper is wet").wait_for()
    olga.look(f"operator-pauses-{scripts}")
    olga.press("Let it go on")
    olga.page.get_by_text("Nothing is paused.").wait_for()
    olga.go("/operator/audit")
    olga.sees("Who did what")
    olga.look(f"operator-audit-{scripts}")


def test_two_operators_end_a_parked_job_and_one_alone_can_not(walk: Walk, service: RunningService) -> None:
    ((organisation,),) = rows(service, "SELECT id FROM organisation WHERE slug = 'tax'")
    job = uuid.uuid4()
    # A job that waits for a delivery which is there, parked as a worker would have done it.
    delivery = service.hand_in("jan")["id"]
    service.until_status(delivery, "to_print", "batched", "handed_over")
    rows(
        service,
        "INSERT INTO job (id, kind, organisation_id, lane, subject_id, parked_at, last_error)"
        " VALUES (%s, 'seal', %s, 0, %s, now(), 'workers_lost')",
        job,
        organisation,
        uuid.UUID(delivery.removeprefix("dlv_")),
    )
    olga, otto = walk(), walk()
    olga.go("/operator/parked", "olga")
    olga.sees("Parked work")
    olga.look("operator-parked")
    olga.page.get_by_text("Propose its end").first.click()
    olga.page.get_by_role("button", name="Propose", exact=True).first.click()
    olga.page.get_by_text("You proposed it.").wait_for()
    olga.look("operator-parked-proposed")
    assert olga.page.get_by_role("button", name="Confirm its end").count() == 0
    otto.go("/operator/parked", "otto")
    otto.press("Confirm its end")
    otto.page.get_by_text("Nothing is parked.").wait_for()
    otto.look("operator-parked-nothing")
    # The seal was made long ago: its end changes nothing of the delivery.
    assert service.until_status(delivery, "to_print", "batched", "handed_over")["id"] == delivery


def test_nobody_else_comes_to_these_pages(walk: Walk) -> None:
    tine = walk()
    answer = tine.go("/operator", "tine")
    assert answer is not None
    assert "How it is" not in tine.page.inner_text("body")
