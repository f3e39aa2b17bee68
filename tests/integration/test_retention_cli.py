"""``zending retention`` as operators call it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner, Result

from service.bootstrap import Application
from service.cli import retention as commands
from service.cli.main import zending
from service.embedded.fictional import RECIPIENTS
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, activate, deliver

Call = Callable[..., Result]


@pytest.fixture
def call(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Call:
    @contextmanager
    def application() -> Iterator[Application]:
        yield pipeline.application

    monkeypatch.setattr(commands, "_application", application)
    return lambda *words, **more: CliRunner().invoke(zending, ["retention", *words], **more)


def test_operators_hold_release_and_see_what_is_held(
    call: Call, pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    delivery = deliver(pipeline, organisation(), "jan")
    assert call("hold", delivery, "--reason", "Case 12", "--by", "operator-1").output == "It is held.\n"
    assert "hold_exists" in call("hold", delivery, "--reason", "Case 12").output
    assert "operator-1" in call("holds").output
    assert call("release", delivery, "--by", "operator-2").exit_code == 0
    assert "not_found" in call("release", delivery).output
    trail = execute(database, "SELECT actor, act FROM audit_entry WHERE subject = %s ORDER BY id", delivery)
    assert trail == [("operator-1", "hold.begin"), ("operator-2", "hold.end")]


def test_periods_are_set_for_an_organisation_and_its_document_types(
    call: Call, organisation: Sender, database: TestDatabase
) -> None:
    organisation("archief")
    assert call("periods", "archief", "--content-days", "100").exit_code == 0
    assert call("periods", "archief", "--document-type", "permit", "--print-days", "5").exit_code == 0
    assert call("periods", "nobody", "--print-days", "5").exit_code == 1
    assert call("periods", "archief", "--print-days", "0").exit_code == 2
    found = execute(database, "SELECT document_type, print_days, content_days FROM retention_rule ORDER BY 1")
    assert found == [("", None, 100), ("permit", 5, None)]


def test_a_person_is_erased_by_a_number_that_stands_in_no_command_and_no_output(
    call: Call, pipeline: Pipeline, organisation: Sender
) -> None:
    activate(pipeline)
    delivery = deliver(pipeline, organisation(), "an")
    number = RECIPIENTS["an"].number or ""
    done = call("erase-person", "--by", "operator-1", input=f"{number}\n")
    assert done.exit_code == 0, done.output
    assert "the mailbox is closed and its address erased" in done.output
    assert delivery[:20] in done.output
    assert number not in done.output
    assert "insz_invalid" in call("erase-person", input="1\n").output


def test_forgotten_objects_are_listed_and_nothing_is_removed_unasked(call: Call) -> None:
    assert call("unknown-objects").output.endswith("0 found.\n")
