"""A collector for tests of traces: it speaks OTLP over HTTP on this machine and decodes what it is sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from service import tracing


class Receiver:
    """A collector that keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.url = ""

    def spans(self, service: str | None = None) -> list[Span]:
        """Every span, or those of one service."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if service is None
            or ("service.name", service)
            in {(each.key, each.value.string_value) for each in resource.resource.attributes}
        ]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A collector on a port of its own."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def traced(receiver: Receiver, role: str) -> Iterator[None]:
    """This process sends its spans to the receiver, as this role; all of them are there after the block."""
    tracing.begin(receiver.url, role=role)
    try:
        yield
    finally:
        tracing.end()


def attributes(span: Span) -> dict[str, object]:
    """What a span says besides its name."""
    return {
        each.key: each.value.string_value or each.value.int_value or each.value.bool_value for each in span.attributes
    }
