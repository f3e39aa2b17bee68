"""Trusted lists (ETSI TS 119 612) from files: who is a qualified trust service, since when, and what for.

A list says something only with its scheme operator's signature over it, by one of the certificates that were given, or
that a list of lists names which is itself signed by one of them. Only what was signed is ever read. Nothing is fetched.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

import base64
import binascii
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from pyhanko.sign.validation.qualified.eutl_parse import parse_lotl_unsafe, trust_list_to_registry_unsafe
from pyhanko.sign.validation.qualified.tsp import CA_QC_URI, QTST_URI, TSPRegistry
from pyhanko_certvalidator.authority import AuthorityWithCert
from signxml.exceptions import InvalidDigest
from signxml.xades.xades import XAdESSignatureConfiguration, XAdESVerifier

from signing.errors import SigningError

LARGEST_LIST: Final = 20 * 1024 * 1024
"""Bytes; the largest national list has about five million."""

_TSL: Final = "{http://uri.etsi.org/02231/v2#}"
_DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
_ROOT: Final = f"{_TSL}TrustServiceStatusList"
_GRANTED: Final = "http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/granted"
_LIST_OF_LISTS: Final = "http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUlistofthelists"
_KINDS: Final = (CA_QC_URI, QTST_URI)


class TrustedListRefused(SigningError):
    """A file that was given as a trusted list is not one that can be believed; ``reason`` says why.

    Reasons: ``size``, ``malformed``, ``doctype``, ``unsigned``, ``signature``, ``signer``, ``content``.
    """

    code = "trusted_list_refused"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail, context={"reason": reason})
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Status:
    """A status of a service, from a moment until the next one begins."""

    since: datetime
    granted: bool


@dataclass(frozen=True, slots=True)
class TrustedList:
    """One list, after its signature was checked.

    Attributes:
        territory: two letters, "EU" for the list of lists.
        sequence: number of the issue.
        issued: when.
        next_update: when it ends; None for a list that is closed (TS 119 612, 5.3.15): it says nothing any more.
        registry: its services with their granted times.
        histories: every status of a service, newest first, by the digest of each of its certificates.
    """

    territory: str
    sequence: int
    issued: datetime
    next_update: datetime | None
    registry: TSPRegistry = field(repr=False)
    histories: Mapping[bytes, tuple[Status, ...]] = field(repr=False)

    def holds_at(self, moment: datetime) -> bool:
        """Whether it may be relied on at ``moment``."""
        return self.next_update is not None and moment <= self.next_update


@dataclass(frozen=True, slots=True)
class TrustedLists:
    """Lists that were given together.

    Attributes:
        lists: those that hold.
        expired: territories of those whose next issue is due: nothing is called qualified by them.
    """

    lists: tuple[TrustedList, ...]
    expired: tuple[str, ...] = ()

    def at(self, moment: datetime) -> "TrustedLists":
        """What of them may be relied on at ``moment``."""
        holding = tuple(each for each in self.lists if each.holds_at(moment))
        expired = tuple(each.territory for each in self.lists if not each.holds_at(moment))
        return TrustedLists(holding, (*self.expired, *expired))

    def issuers(self, moment: datetime) -> Sequence[asn1_x509.Certificate]:
        """Certificates of services that issue qualified certificates, granted at ``moment``."""
        return tuple(self._granted(moment, CA_QC_URI))

    def authorities(self, moment: datetime) -> Sequence[asn1_x509.Certificate]:
        """Certificates of qualified time-stamp authorities, granted at ``moment``."""
        return tuple(self._granted(moment, QTST_URI))

    def _granted(self, moment: datetime, kind: str) -> Iterator[asn1_x509.Certificate]:
        for each in self.lists:
            registry = each.registry
            known = (
                registry.known_certificate_authorities if kind == CA_QC_URI else registry.known_timestamp_authorities
            )
            for authority in known:
                services = registry.applicable_service_definitions(authority, moment)
                granted = any(service.base_info.service_type == kind for service in services)
                if granted and isinstance(authority, AuthorityWithCert):
                    yield authority.certificate

    def statuses(self, certificate: asn1_x509.Certificate, moment: datetime) -> Iterator[bool]:
        """Whether each service that has this certificate was granted at ``moment``; nothing if none has it."""
        for each in self.lists:
            history = each.histories.get(certificate.sha256)
            if history is not None:
                yield next((status.granted for status in history if status.since <= moment), False)


def load_lists(files: Iterable[bytes], operators: Sequence[x509.Certificate], *, now: datetime) -> TrustedLists:
    """Check and read trusted lists.

    Args:
        files: lists, and lists of lists, in any order.
        operators: scheme operators' certificates: of the list of lists, or of the lists themselves.
        now: moment at which the operators' certificates must be valid (aware).

    Raises:
        TrustedListRefused: one of the files is no list that these operators answer for.
    """
    parsed = [_parsed(file) for file in files]
    lists: list[TrustedList] = []
    believed: dict[str, list[x509.Certificate]] = {}
    for root in sorted(parsed, key=lambda root: not _is_list_of_lists(root)):
        territory = _text(root, "SchemeTerritory")
        signed = _signed(root, (*operators, *believed.get(territory, ())), now)
        one = _read(signed)
        if one.territory != territory:
            raise TrustedListRefused("signature", "The operator's signature is not over the whole list.")
        if _is_list_of_lists(signed):
            for named, certificates in _named_in(signed).items():
                if one.holds_at(now):
                    believed.setdefault(named, []).extend(certificates)
            continue
        lists.append(one)
    return TrustedLists(tuple(lists))


def _parsed(file: bytes) -> Any:
    if len(file) > LARGEST_LIST:
        raise TrustedListRefused("size", "The trusted list is too large.")
    try:
        text = file.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TrustedListRefused("malformed", "The trusted list is not XML in UTF-8.") from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        # No list has one, and what a parser makes of it is what attacks on parsers are made of.
        raise TrustedListRefused("doctype", "The trusted list declares a document type.")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise TrustedListRefused("malformed", "The trusted list is not well-formed XML.") from error
    if root.tag != _ROOT:
        raise TrustedListRefused("malformed", "The file is not a trusted list.")
    return root


def _signed(root: Any, operators: Sequence[x509.Certificate], now: datetime) -> Any:
    """The list as one of the operators signed it: what was not signed is gone."""
    if root.find(f"{_DS}Signature") is None:
        raise TrustedListRefused("unsigned", "The trusted list is not signed.")
    whole = etree.tostring(root)
    broken = False
    for operator in operators:
        try:
            return _verified(whole, operator, now)
        except TrustedListRefused:
            raise
        except Exception as error:  # noqa: BLE001 - signxml can raise anything on odd files; none of it is a signature
            # The signature's own certificate is this operator's: then it is the list that is wrong.
            broken = broken or isinstance(error, InvalidDigest) or _names(root, operator)
    if broken:
        raise TrustedListRefused("signature", "The trusted list was changed after its operator signed it.")
    raise TrustedListRefused("signer", "The trusted list is not signed by an operator that was given.")


def _verified(whole: bytes, operator: x509.Certificate, now: datetime) -> Any:
    configuration = XAdESSignatureConfiguration(
        require_x509=True, location="./", expect_references=True, verification_time=now.astimezone(UTC)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = XAdESVerifier().verify(whole, x509_cert=operator, expect_config=configuration)
    for result in results:
        if result.signed_xml is not None and result.signed_xml.tag == _ROOT:
            return _parsed(result.signed_data)
    raise TrustedListRefused("signature", "The operator's signature is not over the whole list.")


def _names(root: Any, operator: x509.Certificate) -> bool:
    own = operator.public_bytes(Encoding.DER)
    try:
        return any(_decoded(each.text or "") == own for each in root.iterfind(f".//{_DS}KeyInfo//{_DS}X509Certificate"))
    except binascii.Error:
        return False


def _read(root: Any) -> TrustedList:
    try:
        registry = TSPRegistry()
        # A territory may have no provider at all.
        if root.find(f"{_TSL}TrustServiceProviderList") is not None:
            registry, _ = trust_list_to_registry_unsafe(etree.tostring(root, encoding="unicode"))
        due = root.find(f".//{_TSL}NextUpdate/{_TSL}dateTime")
        return TrustedList(
            territory=_text(root, "SchemeTerritory"),
            sequence=int(_text(root, "TSLSequenceNumber")),
            issued=_moment(_text(root, "ListIssueDateTime")),
            next_update=_moment(due.text or "") if due is not None else None,
            registry=registry,
            histories=MappingProxyType(dict(_histories(root))),
        )
    except TrustedListRefused:
        raise
    except Exception as error:
        raise TrustedListRefused("content", "The trusted list lacks what a trusted list must say.") from error


def _histories(root: Any) -> Iterator[tuple[bytes, tuple[Status, ...]]]:
    for service in root.iter(f"{_TSL}TSPService"):
        now = service.find(f"{_TSL}ServiceInformation")
        if now is None or now.findtext(f"{_TSL}ServiceTypeIdentifier", "").strip() not in _KINDS:
            continue
        entries = [now, *service.iterfind(f"{_TSL}ServiceHistory/{_TSL}ServiceHistoryInstance")]
        statuses = tuple(sorted(map(_status, entries), key=lambda status: status.since, reverse=True))
        for encoded in now.iterfind(f"{_TSL}ServiceDigitalIdentity/{_TSL}DigitalId/{_TSL}X509Certificate"):
            certificate = x509.load_der_x509_certificate(_decoded(encoded.text or ""))
            yield asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER)).sha256, statuses


def _status(entry: Any) -> Status:
    return Status(
        since=_moment(entry.findtext(f"{_TSL}StatusStartingTime", "")),
        granted=entry.findtext(f"{_TSL}ServiceStatus", "").strip() == _GRANTED,
    )


def _named_in(root: Any) -> dict[str, list[x509.Certificate]]:
    """The operators' certificates that a list of lists names, by territory."""
    found: dict[str, list[x509.Certificate]] = {}
    for reference in parse_lotl_unsafe(etree.tostring(root, encoding="unicode")).references:
        certificates = (x509.load_der_x509_certificate(each.dump()) for each in reference.tlso_certs)
        found.setdefault(reference.territory, []).extend(certificates)
    return found


def _is_list_of_lists(root: Any) -> bool:
    return bool(_text(root, "TSLType") == _LIST_OF_LISTS)


def _text(root: Any, name: str) -> str:
    return str(root.findtext(f"{_TSL}SchemeInformation/{_TSL}{name}", "")).strip()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip())
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _decoded(text: str) -> bytes:
    return base64.b64decode("".join(text.split()), validate=True)
