"""The plain explanation in a bundle, in the recipient's language: one file of sentences per language."""

import textwrap
import tomllib
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

_FOLDER: Final = Path(__file__).with_name("words")
_WIDTH: Final = 96
_INDENT: Final = 18


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sentences of one language; ``commands`` of a step stand under it as they are."""

    title: str
    intro: list[str]
    inside: str
    contents: dict[str, str]
    no_documents: str
    pending: str
    check: str
    steps: list[str]
    by_hand: str
    hand: list[str]
    proves: str
    yes: list[str]
    no: list[str]
    keep: list[str]


COMMANDS: Final[tuple[tuple[str, ...], ...]] = (
    (),
    ('python3 -m pip install "cryptography>=50"', "python3 check.py"),
    ("python3 check.py --keys KEYS.txt --tsa-ca CA.pem",),
    (),
)
"""The commands under each of ``Words.steps``."""
HAND: Final[tuple[tuple[str, ...], ...]] = (
    ("sha256sum -c SHA256SUMS",),
    (
        "openssl ts -verify -token_in -in checkpoints/NAME.tst -data checkpoints/NAME.txt \\",
        "  -CAfile certificates/roots.pem -untrusted certificates/timestamp.pem",
    ),
    ("python3 verify.py evidence/NAME.json --key 'KEY' --tsa-ca certificates/timestamp-ca.pem",),
)
"""The commands under each of ``Words.hand``."""


def readme(language: str, *, issuer: str, delivery: str, documents: bool, pending: bool, scans: bool = False) -> bytes:
    """The explanation as plain text.

    Args:
        language: a language that deliveries can have.
        issuer: who recorded the evidence.
        delivery: public id of the delivery.
        documents: whether they are in the bundle.
        pending: whether some evidence was not in the log yet.
        scans: whether pictures of the post are in the bundle.
    """
    words = _words(language, issuer)
    # Ids and paths, never names of people.
    parts = [_heading(words.title.format(delivery=delivery), "="), *map(_wrapped, words.intro)]
    parts += [_heading(words.inside), _contents(words, documents=documents, pending=pending, scans=scans)]
    parts += [] if documents else [_wrapped(words.no_documents)]
    parts += [_wrapped(words.pending)] if pending else []
    parts += [_heading(words.check), *_steps(words.steps, COMMANDS)]
    parts += [_heading(words.by_hand), *_steps(words.hand, HAND)]
    parts += [_heading(words.proves), *(_item("+ ", each) for each in words.yes)]
    parts += [*(_item("- ", each) for each in words.no), *map(_wrapped, words.keep)]
    return ("\n\n".join(parts) + "\n").encode()


@cache
def _words(language: str, issuer: str) -> Words:
    text = (_FOLDER / f"{language}.toml").read_text("utf-8")
    # A name in quotes of JSON is one in quotes of TOML.
    quoted = msgspec.json.encode(issuer).decode()[1:-1]
    return msgspec.convert(tomllib.loads(text.replace("{issuer}", quoted)), Words)


def _heading(text: str, line: str = "-") -> str:
    return f"{text}\n{line * len(text)}"


def _contents(words: Words, *, documents: bool, pending: bool, scans: bool) -> str:
    said = (("documents/", documents), ("pending/", pending), ("scans/", scans))
    left_out = {name for name, there in said if not there}
    return "\n".join(_item(f"{name:<{_INDENT}}", text) for name, text in words.contents.items() if name not in left_out)


def _steps(texts: list[str], commands: tuple[tuple[str, ...], ...]) -> list[str]:
    return [
        "\n".join([_item(f"{number}. ", text), *(f"       {line}" for line in lines)])
        for number, (text, lines) in enumerate(zip(texts, commands, strict=True), start=1)
    ]


def _item(mark: str, text: str) -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=mark, subsequent_indent=" " * len(mark), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
