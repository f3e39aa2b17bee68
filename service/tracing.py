"""Traces (OpenTelemetry), sent by OTLP over HTTP to where the settings say; switched off, nothing of it is even loaded.

Spans carry routes' patterns, status codes, kinds, lanes and counts: nothing of a request's or document's content.

What a request queues keeps where it came from (its *origin*: a W3C ``traceparent``, ids and nothing else), and hands it
on to what follows. The steps of a single hand-in so are spans of its own trace. Where one origin stands behind
thousands of jobs, as with a submission, their spans only link to it: no viewer shows a trace of a million spans.
"""

import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link

TIMEOUT: Final = 5
"""Seconds that one delivery of spans to the collector may take; what it does not take is dropped."""

_MANY: Final = " many"
"""Ends an origin that stands behind many jobs."""

_provider: "TracerProvider | None" = None
_at_work: ContextVar[Mapping[uuid.UUID, str | None] | None] = ContextVar("zending_at_work", default=None)


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


@contextmanager
def work(name: str, origins: Mapping[uuid.UUID, str | None], **attributes: str | float | bool) -> Iterator["Span"]:
    """Trace what is done for these subjects together; what they queue meanwhile keeps their origins.

    Work for one hand-in alone is a span of that hand-in's trace. Work for several is a span of a trace of its own with
    a link to each origin, and a short form of it stands in each hand-in's trace.

    Args:
        name: closed names only, such as ``step seal``.
        origins: where each subject's job came from, as :func:`origin` gave it.
        attributes: codes and counts.
    """
    if _provider is None:
        yield _NO_SPAN
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind

    tracer = _provider.get_tracer("zending")
    parents = Counter(each for each in origins.values() if each is not None)
    parent = next((each for each, count in parents.items() if count == len(origins) and not each.endswith(_MANY)), None)
    began, token = time.time_ns(), _at_work.set(origins)
    try:
        with tracer.start_as_current_span(
            name,
            context=_context(parent) if parent else Context(),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=() if parent else [_link(each) for each in parents],
            start_time=began,
            record_exception=False,
            set_status_on_exception=False,
        ) as real:
            yield Span(real)
        for each, count in parents.items():
            if parent is None and not each.endswith(_MANY):
                tracer.start_span(
                    name,
                    context=_context(each),
                    kind=SpanKind.CONSUMER,
                    attributes={**attributes, "jobs": count},
                    links=[_link_to(real)],
                    start_time=began,
                ).end()
    finally:
        _at_work.reset(token)


def origin(subject: uuid.UUID, *, many: bool = False) -> str | None:
    """Where a job comes from that is put for this subject now: what its row keeps; None where nothing is traced.

    While a worker works on the subject, that is the origin of the job in hand, else the request that is being answered.

    Args:
        subject: the delivery or submission that the job is for.
        many: it stands behind many jobs, whose spans are to link to it only.
    """
    if _provider is None:
        return None
    at_work = _at_work.get()
    found = _current() if at_work is None else at_work.get(subject)
    return found + _MANY if found is not None and many and not found.endswith(_MANY) else found


def _current() -> str | None:
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid or not context.trace_flags.sampled:
        return None
    return f"00-{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}-01"


def _context(parent: str) -> "Context":
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": parent.removesuffix(_MANY)}
    return TraceContextTextMapPropagator().extract(carrier, context=Context())


def _link(parent: str) -> "Link":
    from opentelemetry import trace

    return _link_to(trace.get_current_span(_context(parent)))


def _link_to(span: Any) -> "Link":
    from opentelemetry.trace import Link

    return Link(span.get_span_context())


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
