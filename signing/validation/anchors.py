"""What is believed: the roots that were configured, and the services that trusted lists name."""

from collections.abc import Sequence
from datetime import datetime

from asn1crypto import x509 as asn1_x509
from cryptography import x509

from signing.trusted_lists import TrustedLists
from signing.validation.chains import as_asn1


class Anchors:
    """Roots that always hold, and a trusted list's services for the moments in which they had been granted."""

    def __init__(self, roots: Sequence[x509.Certificate], lists: TrustedLists | None) -> None:
        self._roots = tuple(roots)
        self._asn1_roots = tuple(as_asn1(root) for root in self._roots)
        self._lists = lists

    def for_signers(self, moment: datetime) -> Sequence[asn1_x509.Certificate]:
        """Anchors of signers' certificates at ``moment``."""
        listed = self._lists.issuers(moment) if self._lists is not None else ()
        return (*self._asn1_roots, *listed)

    def for_stamps(self, moment: datetime) -> Sequence[asn1_x509.Certificate]:
        """Anchors of time-stamp authorities at ``moment``."""
        listed = self._lists.authorities(moment) if self._lists is not None else ()
        return (*self._asn1_roots, *listed)

    def stamp_roots(self, moment: datetime) -> Sequence[x509.Certificate]:
        """The same for the verifier of tokens."""
        listed = self._lists.authorities(moment) if self._lists is not None else ()
        return (*self._roots, *(x509.load_der_x509_certificate(each.dump()) for each in listed))
