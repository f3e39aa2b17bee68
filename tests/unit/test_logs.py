"""Logs: an event name and ids a line, on standard error; libraries that would tell more are kept quiet."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from service import logs
from service.domain.errors import Invalid


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs._QUIET}
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level
    for name, kept in levels.items():
        logging.getLogger(name).setLevel(kept)


def test_a_line_for_machines_is_an_object_with_event_level_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    structlog.get_logger().warning("job_failed", kind="seal", attempts=3)
    written = capsys.readouterr()
    assert written.out == ""
    line = json.loads(written.err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "job_failed", "level": "warning", "kind": "seal", "attempts": 3}


def test_a_line_for_people_is_no_object(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(style="console")
    structlog.get_logger().info("chunk", jobs=2)
    line = capsys.readouterr().err
    assert "chunk" in line
    assert "jobs=2" in line
    assert "\x1b" not in line
    assert not line.startswith("{")


def test_what_is_bound_to_a_request_is_on_each_of_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    with structlog.contextvars.bound_contextvars(request="req_1"):
        structlog.get_logger().info("one")
    assert json.loads(capsys.readouterr().err)["request"] == "req_1"


def test_details_for_developers_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    structlog.get_logger().debug("detail")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["pyhanko", "sqlalchemy.engine", "httpx", "kombu.connection", "pikepdf"])
def test_libraries_that_tell_what_they_handle_are_quiet(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logging.getLogger(name).warning("GET https://tsa.invalid/?subject=Jan")
    assert capsys.readouterr().err == ""
    logging.getLogger(name).error("broken")
    assert capsys.readouterr().err == f"ERROR {name} broken\n"


def test_a_refusal_logged_by_its_code_says_nothing_about_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    error = Invalid("Jan Peeters lives elsewhere.", context={"delivery": "dlv_1"})
    structlog.get_logger().warning("refused", code=error.code, **error.context)
    line = capsys.readouterr().err
    assert "dlv_1" in line
    assert "Peeters" not in line
