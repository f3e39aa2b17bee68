"""What an answer to registered mail leads to, for whoever is about to give one, and what became of it."""

from service.domain.legal_basis import Ending
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.views import EffectRuleView, OfferView, legal_basis


def offer_view(context: Context, dossier: Dossier) -> OfferView | None:
    """What accepting, refusing and doing nothing mean under the terms that the delivery was sent under."""
    sent_under, basis = dossier.terms, legal_basis(dossier.delivery)
    if basis is None:
        return None
    entry = context.register.version(basis.id, basis.version)
    return OfferView(
        after_refusal=sent_under.follows(Ending.REFUSED).value,
        after_expiry=sent_under.follows(Ending.EXPIRED).value,
        effects=[EffectRuleView(rule.on.value, rule.working_days) for rule in sent_under.effect],
        legal_basis=basis,
        # An operator may have taken an entry of their own out of the folder: the terms are kept with the delivery.
        title={} if entry is None else dict(entry.title),
        example=entry is not None and entry.example,
    )
