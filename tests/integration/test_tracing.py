"""Traces: sent to a real receiver on this machine when switched on, holding nothing of anybody; nothing when off."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from service import tracing
from service.bootstrap import Application
from tests.api_support import door
from tests.engine_support import Bench, organisations, put
from tests.pipeline_support import TestDatabase
from tests.tracing_support import Receiver, attributes, receiving, traced

NUMBER = "85073003328"


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiving() as made, traced(made, "api"):
        yield made


def test_requests_are_traced_by_pattern_and_continue_the_callers_trace(
    collector: Receiver, application: Application
) -> None:
    with door(application) as client:
        parent = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
        client.get(f"/v1/deliveries/dlv_{NUMBER}?reference={NUMBER}", headers=parent)
        client.get(f"/nothing/{NUMBER}")
    tracing.end()
    known, unknown = collector.spans()
    assert known.name == "GET /v1/deliveries/{delivery_id}"
    assert known.kind == Span.SPAN_KIND_SERVER
    assert (known.trace_id.hex(), known.parent_span_id.hex()) == ("ab" * 16, "cd" * 8)
    assert attributes(known)["status"] == 401
    assert unknown.name == "GET none"
    assert unknown.trace_id != known.trace_id
    assert not any(NUMBER in str(request) for request in collector.requests)
    service = collector.requests[0].resource_spans[0].resource.attributes
    assert ("service.name", "zending-api") in {(each.key, each.value.string_value) for each in service}


def test_chunks_are_traced_with_what_became_of_them(collector: Receiver, database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, 3)

    def fails(_: object) -> None:
        raise ValueError(NUMBER)

    Bench().run(database)
    put(database, sender, 1)
    Bench(fails).run(database)
    tracing.end()
    good, bad = collector.spans()
    assert (good.name, attributes(good)["done"], attributes(good)["jobs"]) == ("step seal", 3, 3)
    assert good.status.code != bad.status.code
    assert attributes(bad)["postponed"] == 1
    assert not any(NUMBER in str(request) for request in collector.requests)


def test_without_an_address_nothing_is_traced_or_loaded() -> None:
    script = (
        "import sys\nfrom service import tracing\ntracing.begin(None, role='api')\n"
        "with tracing.span('x', jobs=1) as span:\n    span.tell('y', failed=True, attributes={'a': 1})\n"
        "with tracing.work('step seal', {1: None}, jobs=1):\n    assert tracing.origin(1, many=True) is None\n"
        "tracing.end()\nprint(sum(name.startswith('opentelemetry') for name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_none_of_the_traces_are_kept_when_the_share_is_nothing() -> None:
    with receiving() as made:
        tracing.begin(made.url, role="worker", share=0.0)
        with tracing.span("step seal"):
            pass
        tracing.end()
    assert made.spans() == []


def test_a_collector_that_is_away_stops_nothing() -> None:
    tracing.begin("http://127.0.0.1:1/v1/traces", role="worker")
    with tracing.span("step seal") as span:
        span.tell(attributes={"jobs": 1})
    tracing.end()
