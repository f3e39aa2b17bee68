"""What a check found, in one sentence a citizen understands, in four languages."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from signing.report import Qualification, Report, SignatureReport

LANGUAGES: Final = ("nl", "fr", "de", "en")
_FILE: Final = Path(__file__).with_name("sentences.toml")
_SAID_OF_VALID: Final = {
    Qualification.QUALIFIED_SEAL: "qualified_seal",
    Qualification.QUALIFIED_SIGNATURE: "qualified_signature",
}


def sentence(found: Report | SignatureReport, language: str) -> str:
    """The sentence for a document or for one of its signatures.

    Args:
        found: what was found.
        language: one of `LANGUAGES`.

    Raises:
        KeyError: another language.
    """
    words = _words()[language]
    if found.code is None:
        return words[_kind_of_valid(found)]
    for known in (found.code, *(each for each in words if each.endswith("_") and found.code.startswith(each))):
        if known in words:
            return words[known]
    # What isn't trusted is so in many ways; whoever reads this needs no more than that.
    return words["untrusted" if found.code.startswith("untrusted") else "check_"]


def _kind_of_valid(found: Report | SignatureReport) -> str:
    """A document is said to be qualified only when its newest signature is, since that one covers all others."""
    said = found.seal if isinstance(found, Report) else found
    return _SAID_OF_VALID.get(said.qualification, "valid") if said is not None else "valid"


@cache
def _words() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(_FILE.read_text("utf-8"))
