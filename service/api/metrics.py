"""``/metrics`` for the monitoring."""

import hmac
from typing import Any

from litestar import Request, Response, get
from litestar.handlers.base import BaseRouteHandler
from sqlalchemy.exc import SQLAlchemyError

from service.api.calls import application_of
from service.api.readiness import Readiness
from service.db import vitals
from service.domain.errors import NotFound, Unauthenticated
from service.settings import Mode
from service.usecases import operations
from service.web import metrics
from service.web.guards import Access, Connection


class Monitoring(Access):
    """Whoever shows the token that the settings name; without one, everybody in a demonstration and nobody else."""

    name = "metrics token"

    async def __call__(self, connection: Connection, _handler: BaseRouteHandler, /) -> None:
        """Pass the monitoring.

        Raises:
            NotFound: metrics are switched off.
            Unauthenticated: the token is not the one.
        """
        settings = connection.app.state.application.settings
        if settings.metrics_token is None:
            if settings.mode is Mode.PRODUCTION:
                raise NotFound("There is nothing at this address.", code="route_unknown")
            return
        given = connection.headers.get("authorization", "").encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(given, b"Bearer " + settings.metrics_token.get_secret_value().encode()):
            raise Unauthenticated("Send the token of the monitoring: Authorization: Bearer …")


@get("/metrics", guards=[Monitoring()], include_in_schema=False, sync_to_thread=True)
def read_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Show what is measured; what can't be measured now is left out, and the part that is missing says why."""
    application = application_of(request)
    readiness: Readiness = request.app.state.readiness
    parts = readiness.parts()
    try:
        samples = operations.measure(application.context, application.promises)
        with application.context.database.transaction() as session:
            tallies = vitals.tallies(session)
    except SQLAlchemyError:
        samples, tallies, parts = [], [], parts | {"database": (False, True)}
    content = metrics.exposition([*samples, *operations.part_samples(parts)], tallies)
    return Response(content, media_type=metrics.MEDIA_TYPE, headers={"Cache-Control": "no-store"})
