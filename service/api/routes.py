"""Everything of this door, for the application to include."""

from litestar.types import ControllerRouterHandler

from service.api.deliveries import Deliveries
from service.api.health import HealthChecks
from service.api.ledger import Ledger
from service.api.legal_bases import LegalBases
from service.api.letters import Letters
from service.api.mailbox import Activation, Messages
from service.api.mandates import Mandates
from service.api.metrics import read_metrics
from service.api.operations import Operations
from service.api.paper import Paper
from service.api.print_desk import PrintDesk
from service.api.print_letters import PrintLetters
from service.api.print_views import PrintViews
from service.api.recipients import Recipients
from service.api.schemas import Schemas
from service.api.signatures import SignatureRequests
from service.api.submissions import Submissions
from service.api.tokens import Tokens
from service.api.validations import Validations
from service.api.webhooks import Webhooks


def api_handlers() -> list[ControllerRouterHandler]:
    """The controllers that the contract describes."""
    return [
        Tokens,
        Deliveries,
        Letters,
        Paper,
        Submissions,
        Validations,
        SignatureRequests,
        Recipients,
        Messages,
        Activation,
        Mandates,
        Webhooks,
        Ledger,
        Schemas,
        LegalBases,
        Operations,
        PrintDesk,
        PrintLetters,
        PrintViews,
        HealthChecks,
        read_metrics,
    ]
