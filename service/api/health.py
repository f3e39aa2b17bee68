"""``/health``: for supervisors and load balancers."""

from typing import Any

from litestar import Controller, Request, Response, get
from litestar.openapi.datastructures import ResponseSpec

from service.api.calls import public
from service.api.readiness import DOWN, UNAVAILABLE, Readiness
from service.api.shapes import Alive, Health, HealthPart
from service.web.draining import is_draining


class HealthChecks(Controller):
    """Whether this process lives, and whether it can do its work."""

    path = "/health"
    tags = ("Operations",)

    @get("/live", summary="Is the process alive", operation_id="live", sync_to_thread=False, **public())
    def live(self) -> Alive:
        """Answer, and nothing more: a process is not restarted because another part is down."""
        return Alive()

    @get(
        "/ready",
        summary="Which parts are there",
        operation_id="ready",
        sync_to_thread=True,
        response_description="`ready`; or `degraded`: requests are taken, what hangs on the parts that are down waits.",
        **public(also={503: ResponseSpec(Health, description="A needed part is down.", generate_examples=False)}),
    )
    def ready(self, request: Request[Any, Any, Any]) -> Response[Health]:
        """Name each part and how it is."""
        readiness: Readiness = request.app.state.readiness
        if is_draining():
            stopping = HealthPart("this process", DOWN, needed=True)
            return Response(Health(UNAVAILABLE, [stopping]), status_code=503)
        health = readiness.health()
        return Response(health, status_code=503 if health.status == UNAVAILABLE else 200)
