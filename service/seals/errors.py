"""Why a profile doesn't seal. All of them can be mended while documents wait, so all are retryable."""

from signing.errors import SigningError


class ProfileRefused(SigningError):
    """The profile is missing or wrong: its text, a file that it names, or a secret."""

    code = "seal_profile_refused"
    retryable = True


class CertificateEnding(SigningError):
    """The certificate ends too soon to seal with it: a seal should outlast its reading, not fail the week after."""

    code = "certificate_ending"
    retryable = True
