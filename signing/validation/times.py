"""When a signature existed for certain: the chain of time-stamps, walked from the newest back.

A time-stamp proves something only as long as its authority's certificates are valid, unless a later one that still
holds was put over it. So the newest is judged as of today, and each older one as of the moment the next one proves.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain as chained

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import EmbeddedPdfSignature

from signing.algorithms import digest
from signing.errors import TimeStampInvalid
from signing.report import Revocation
from signing.tokens import Proof, TokenVerifier, claimed_time, imprint_algorithm
from signing.validation.anchors import Anchors
from signing.validation.chains import Chain, as_asn1, chain_of
from signing.validation.evidence import Evidence
from signing.validation.reading import der_in

CLOCKS = timedelta(minutes=5)
"""How far the clocks of authorities and of this machine may be apart."""

BROKEN = frozenset({"imprint", "digest", "signature"})
"""Reasons that mean: these bytes and this token don't fit together."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time-stamp that was judged.

    Attributes:
        moment: what it proves; None when it proves nothing.
        fault: why not, as `SignatureReport.code` says it; None when it does.
        proof: the token, where it held together.
        chain: its authority's way to an anchor.
    """

    moment: datetime | None = None
    fault: str | None = None
    proof: Proof | None = None
    chain: Chain | None = None

    @property
    def broken(self) -> bool:
        """Whether token and data don't fit together."""
        return self.fault in {f"timestamp_{reason}" for reason in BROKEN}


class Stamps:
    """Judges time-stamps against the same anchors and evidence."""

    def __init__(self, anchors: Anchors, *, required: bool) -> None:
        """Set up.

        Args:
            anchors: what is believed.
            required: a time-stamp counts only when its authority is known not to have been revoked.
        """
        self._anchors = anchors
        self._required = required
        self._verifiers: dict[tuple[bytes, ...], TokenVerifier] = {}

    def judge(
        self,
        token: bytes,
        *,
        algorithm: str,
        imprint: bytes,
        horizon: datetime,
        evidence: Evidence,
        newest: bool = False,
    ) -> Stamp:
        """Judge a token over ``imprint``.

        Args:
            token: DER.
            algorithm: digest algorithm of the imprint.
            imprint: what must have been stamped.
            horizon: earliest moment proven for the token itself; without a proof, the moment of judgement.
            evidence: what the file brings.
            newest: nothing is over this one, so nothing later can say whether its authority was revoked.
        """
        try:
            proof = self._verifier(claimed_time(token)).prove(token, algorithm=algorithm, imprint=imprint)
        except TimeStampInvalid as error:
            return Stamp(fault=f"timestamp_{error.reason}")
        moment = proof.token.gen_time
        brought = evidence + Evidence(tuple(as_asn1(each) for each in proof.others))
        chain = chain_of(as_asn1(proof.certificate), self._anchors.for_stamps(moment), moment, brought)
        fault = _fault(proof, chain, horizon, required=self._required and not newest)
        return Stamp(moment if fault is None else None, fault, proof, chain)

    def on_signature(self, embedded: EmbeddedPdfSignature, horizon: datetime, evidence: Evidence) -> Stamp | None:
        """The signature time-stamp, or None without one. Of several the first that holds counts, else the first."""
        judged = [self._over_signature(embedded, token, horizon, evidence) for token in _signature_tokens(embedded)]
        return next((stamp for stamp in judged if stamp.moment is not None), judged[0]) if judged else None

    def _over_signature(
        self, embedded: EmbeddedPdfSignature, token: bytes, horizon: datetime, evidence: Evidence
    ) -> Stamp:
        try:
            algorithm = imprint_algorithm(token)
        except TimeStampInvalid as error:
            return Stamp(fault=f"timestamp_{error.reason}")
        imprint = digest(algorithm, embedded.signer_info["signature"].native)
        return self.judge(token, algorithm=algorithm, imprint=imprint, horizon=horizon, evidence=evidence)

    def over_document(
        self, embedded: EmbeddedPdfSignature, horizon: datetime, evidence: Evidence, *, newest: bool
    ) -> Stamp:
        """A document time-stamp."""
        return self.judge(
            der_in(embedded.pkcs7_content),
            algorithm=embedded.external_md_algorithm,
            imprint=embedded.compute_digest(),
            horizon=horizon,
            evidence=evidence,
            newest=newest,
        )

    def _verifier(self, moment: datetime) -> TokenVerifier:
        roots: Sequence[x509.Certificate] = self._anchors.stamp_roots(moment)
        key = tuple(root.fingerprint(SHA256()) for root in roots)
        return self._verifiers.setdefault(key, TokenVerifier(roots))


def _fault(proof: Proof, chain: Chain | None, horizon: datetime, *, required: bool) -> str | None:
    """What keeps a token that holds together from proving anything."""
    if proof.token.gen_time > horizon + CLOCKS:
        return "timestamp_order"
    if proof.holds_until < horizon:
        return "timestamp_expired"
    if chain is None:
        return "timestamp_certificate_path"
    if chain.revocation is Revocation.REVOKED:
        return "timestamp_revoked"
    if required and chain.revocation is not Revocation.GOOD:
        return "timestamp_revocation_unknown"
    return None


def _signature_tokens(embedded: EmbeddedPdfSignature) -> Iterator[bytes]:
    attributes = embedded.signer_info["unsigned_attrs"]
    named = (a for a in attributes if a["type"].native == "signature_time_stamp_token")
    for value in chained.from_iterable(attribute["values"] for attribute in named):
        yield value.dump()


@dataclass(frozen=True, slots=True)
class Horizon:
    """From which moment on something in the file is known to have existed; ``proven`` by a time-stamp, or today."""

    at: datetime
    proven: bool


class DocumentStamps:
    """The document time-stamps of a file, judged from the newest back."""

    def __init__(
        self,
        stamps: Stamps,
        reader: PdfFileReader,
        embedded: Iterable[EmbeddedPdfSignature],
        at: datetime,
    ) -> None:
        """Judge all of them.

        Args:
            stamps: judges one.
            reader: of the file.
            embedded: the document time-stamps whose covered bytes are in order.
            at: the moment of judgement.
        """
        self._at = at
        self._reader = reader
        self._holding: list[tuple[EmbeddedPdfSignature, datetime]] = []
        self._judged: dict[EmbeddedPdfSignature, Stamp] = {}
        evidence = Evidence.in_store(reader)
        for each in sorted(embedded, key=lambda each: each.signed_revision, reverse=True):
            before = self.horizon(each.signed_revision)
            try:
                stamp = stamps.over_document(each, before.at, evidence, newest=not before.proven)
            except Exception:  # noqa: BLE001 - a token can make its readers raise anything; then it proves nothing
                stamp = Stamp(fault="timestamp_malformed")
            self._judged[each] = stamp
            if stamp.moment is not None:
                self._holding.append((each, stamp.moment))

    @property
    def judged(self) -> Mapping[EmbeddedPdfSignature, Stamp]:
        """What became of each."""
        return self._judged

    def horizon(self, revision: int) -> Horizon:
        """What is proven for everything that stood in the file at ``revision``: by later time-stamps only."""
        later = [moment for _, moment in self.over(revision)]
        return Horizon(min(later), proven=True) if later else Horizon(self._at, proven=False)

    def over(self, revision: int) -> Iterator[tuple[EmbeddedPdfSignature, datetime]]:
        """The time-stamps that hold and were put over ``revision``, oldest first."""
        return ((each, moment) for each, moment in reversed(self._holding) if each.signed_revision > revision)

    def evidence_under(self, stamp: EmbeddedPdfSignature) -> Evidence:
        """What the file brought for judging when ``stamp`` was put over it."""
        return Evidence.in_store(self._reader.get_historical_resolver(stamp.signed_revision))
