"""Which PAdES baseline level was proven (ETSI EN 319 142-1, 6)."""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

from pyhanko.sign.validation import EmbeddedPdfSignature

from signing.report import Level


def level_of(embedded: EmbeddedPdfSignature, *, stamped: bool, complete: bool, archived: bool) -> Level | None:
    """The level, or None for what isn't PAdES.

    Args:
        embedded: the signature.
        stamped: a time-stamp that holds proves when it existed.
        complete: the file itself brings what shows that nothing was revoked, for the signer and for the time-stamp.
        archived: a document time-stamp that holds was put over all that.
    """
    names = {attribute["type"].native for attribute in embedded.signer_info["signed_attrs"]}
    pades = embedded.sig_object.get("/SubFilter") == "/ETSI.CAdES.detached"
    if not pades or not names & {"signing_certificate_v2", "signing_certificate"}:
        return None
    if not stamped:
        return Level.B_B
    if not complete:
        return Level.B_T
    return Level.B_LTA if archived else Level.B_LT
