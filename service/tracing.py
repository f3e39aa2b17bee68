"""Traces (OpenTelemetry), sent by OTLP over HTTP to where the settings say; switched off, nothing of it is even loaded.

Spans carry routes' patterns, status codes, kinds, lanes and counts: nothing of a request's or document's content.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

TIMEOUT: Final = 5
"""Seconds that one delivery of spans to the collector may take; what it does not take is dropped."""

_provider: "TracerProvider | None" = None


def begin(url: str | None, *, role: str, share: float = 1.0) -> None:
    """Trace this process from now on; without an address nothing happens.

    Args:
        url: the collector's address for traces (OTLP over HTTP, protobuf).
        role: what this process is: ``api``, ``worker``, ``scheduler``.
        share: the share of traces that are kept; what a caller already traces is traced by its decision.
    """
    global _provider  # noqa: PLW0603  one per process
    if url is None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    resource = Resource.create({"service.name": f"zending-{role}", "service.namespace": "zending"})
    _provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(share)))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=TIMEOUT)))


def end() -> None:
    """Send what is left, and trace no more."""
    global _provider
    provider, _provider = _provider, None
    if provider is not None:
        provider.shutdown()


@contextmanager
def span(name: str, *, headers: Any = (), **attributes: str | float | bool) -> Iterator["Span"]:
    """Trace what happens inside; the span in hand takes further attributes.

    Args:
        name: closed names only, such as ``step seal`` or a route's pattern.
        headers: of the request that it answers, as ASGI has them: the caller's trace is continued.
        attributes: ids, codes and counts.
    """
    if _provider is None:
        yield _NO_SPAN
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {key.decode("latin-1"): value.decode("latin-1") for key, value in headers if key == b"traceparent"}
    parent = TraceContextTextMapPropagator().extract(carrier) if carrier else None
    kind = SpanKind.SERVER if headers else SpanKind.INTERNAL
    # An exception's text may quote what was worked on: only its type is told, by whoever knows it to be safe.
    with _provider.get_tracer("zending").start_as_current_span(
        name, context=parent, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as real:
        yield Span(real)


class Span:
    """A span in hand; one that is not traced takes everything and keeps nothing."""

    def __init__(self, real: Any = None) -> None:
        self._real = real

    def tell(
        self,
        name: str | None = None,
        *,
        failed: bool = False,
        attributes: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Add attributes, name it anew, or mark it as failed."""
        if self._real is None:
            return
        from opentelemetry.trace import StatusCode

        self._real.set_attributes(dict(attributes))
        if name is not None:
            self._real.update_name(name)
        if failed:
            self._real.set_status(StatusCode.ERROR)


_NO_SPAN: Final = Span()
