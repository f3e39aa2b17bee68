"""One trace from the request that handed in to what workers did for it, as a collector gets it; nothing when off."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from litestar.testing import TestClient
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from service import tracing
from service.db.ids import ORGANISATION, public_id
from service.identity.scopes import Scope
from service.usecases import organisations
from tests.api_support import bearer, door, multipart, multipart_headers
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.service_support import DOCUMENTS, delivery_for
from tests.submission_support import line, packed
from tests.tracing_support import Receiver, attributes, receiving, traced
from tests.usecase_support import activate

PDF = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()
CALLER = "ab" * 16
TO_MAILBOX = {"step seal", "step route", "step deposit", "step notify"}
ON_PAPER = {"step seal", "step route", "step letter"}
Organisation = Callable[..., uuid.UUID]


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


class Program:
    """A program of an organisation, at the API."""

    def __init__(self, pipeline: Pipeline, organisation: uuid.UUID, client: TestClient[Any]) -> None:
        self._client = client
        name = f"program-{organisation.hex}"
        known = organisations.NewClient(name, "test", "secret", [Scope.DELIVERIES_WRITE])
        with pipeline.context.database.transaction() as session:
            organisations.ensure_client(session, organisation, known)
        claims = {"subject": name, "client_id": name, "organisation": public_id(ORGANISATION, organisation)}
        self._headers = bearer(pipeline.application, Scope.DELIVERIES_WRITE, **claims)

    def hand_in(self, recipient: str, *, trace: str | None = None) -> None:
        """Hand in one letter, within the caller's trace where one is given."""
        body = json.dumps(delivery_for(recipient)).encode()
        headers = self._headers | multipart_headers() | {"Idempotency-Key": uuid.uuid4().hex}
        if trace is not None:
            headers["traceparent"] = f"00-{trace}-{'cd' * 8}-01"
        content = multipart(("delivery", None, body), ("document", "brief.pdf", PDF))
        answer = self._client.post("/v1/deliveries", content=content, headers=headers)
        assert answer.status_code == 202, answer.text

    def submit(self, content: bytes) -> None:
        """Hand in a submission in one go."""
        headers = self._headers | {"Content-Type": "application/zip", "Idempotency-Key": uuid.uuid4().hex}
        answer = self._client.post("/v1/submissions", content=content, headers=headers)
        assert answer.status_code == 201, answer.text


@pytest.fixture
def program(pipeline: Pipeline, organisation: Organisation) -> Iterator[Program]:
    """One that can hand in."""
    with door(pipeline.application) as client:
        yield Program(pipeline, organisation(), client)


def works(collector: Receiver, pipeline: Pipeline) -> list[Span]:
    """Let workers do everything, and return their spans."""
    with traced(collector, "worker"):
        pipeline.work()
    return collector.spans("zending-worker")


def request(collector: Receiver, name: str) -> Span:
    (found,) = [span for span in collector.spans("zending-api") if span.name == name]
    return found


@pytest.mark.parametrize(("recipient", "steps"), [("an", TO_MAILBOX), ("jan", ON_PAPER)])
def test_every_step_of_a_hand_in_is_in_its_trace(
    pipeline: Pipeline, program: Program, collector: Receiver, recipient: str, steps: set[str]
) -> None:
    activate(pipeline, "an")
    with traced(collector, "api"):
        program.hand_in(recipient, trace=CALLER)
    handed_in = request(collector, "POST /v1/deliveries")
    done = works(collector, pipeline)
    assert {span.name for span in done} == steps
    assert {span.trace_id.hex() for span in done} == {CALLER} == {handed_in.trace_id.hex()}
    assert {span.parent_span_id for span in done} == {handed_in.span_id}
    assert all(attributes(span)["done"] == 1 for span in done)


def test_hand_ins_that_are_worked_on_together_each_have_all_steps_in_their_trace(
    pipeline: Pipeline, program: Program, collector: Receiver, database: TestDatabase
) -> None:
    with traced(collector, "api"):
        for _ in range(2):
            program.hand_in("jan")
    program.hand_in("jan")
    assert execute(database, "SELECT count(*), count(trace) FROM job") == [(3, 2)]
    handed_in = collector.spans("zending-api")
    done = works(collector, pipeline)
    for each in handed_in:
        own = [span for span in done if span.trace_id == each.trace_id]
        assert {span.name for span in own} == ON_PAPER
        assert {span.parent_span_id for span in own} == {each.span_id}
    together = [span for span in done if span.trace_id not in {each.trace_id for each in handed_in}]
    assert {span.name for span in together} == ON_PAPER
    for span in together:
        assert {link.span_id for link in span.links} == {each.span_id for each in handed_in}
        assert attributes(span)["jobs"] == 3
        shown = [each for each in done if each.name == span.name and each is not span]
        assert [link.span_id for each in shown for link in each.links] == [span.span_id] * 2


def test_every_step_of_a_submission_is_linked_to_the_request_that_handed_it_in(
    pipeline: Pipeline, program: Program, collector: Receiver, database: TestDatabase
) -> None:
    content = packed([line("jan", reference=f"R{number}") for number in range(5)])
    with traced(collector, "api"):
        program.submit(content)
    handed_in = request(collector, "POST /v1/submissions")
    done = works(collector, pipeline)
    assert {span.name for span in done} >= {"step unpack", "step admit"} | ON_PAPER
    for span in done:
        assert [(link.trace_id, link.span_id) for link in span.links] == [(handed_in.trace_id, handed_in.span_id)]
        # A trace of a million spans is shown by nobody.
        assert span.trace_id != handed_in.trace_id
    assert execute(database, "SELECT count(*) FROM print_letter") == [(5,)]


def test_what_is_kept_and_sent_is_ids_and_counts_only(
    pipeline: Pipeline, program: Program, collector: Receiver, database: TestDatabase
) -> None:
    with traced(collector, "api"):
        program.hand_in("jan", trace=CALLER)
    ((kept,),) = execute(database, "SELECT trace FROM job")
    assert re.fullmatch(rf"00-{CALLER}-[0-9a-f]{{16}}-01", kept)
    given = delivery_for("jan")
    works(collector, pipeline)
    sent = str(collector.requests)
    told = [given["subject"], given["reference"], *given["recipient"].values(), *given["postal_address"].values()]
    assert [each for each in told if isinstance(each, str) and len(each) > 3 and each in sent] == []
    known = {"jobs", "lane", "status", "request_id", "done", "ended", "postponed", "parked", "held", "lost"}
    assert {name for span in collector.spans() for name in attributes(span)} <= known


def test_what_is_not_traced_keeps_nothing_and_starts_nothing(
    pipeline: Pipeline, program: Program, collector: Receiver, database: TestDatabase
) -> None:
    program.hand_in("jan")
    tracing.begin(collector.url, role="api", share=0.0)
    program.hand_in("jan")
    tracing.end()
    assert execute(database, "SELECT count(*), count(trace) FROM job") == [(2, 0)]
    done = works(collector, pipeline)
    assert {span.name for span in done} == ON_PAPER
    assert all(not span.links and not span.parent_span_id for span in done)
