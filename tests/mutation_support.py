"""Signed files changed at random where a validator reads: for hypothesis and for the fuzzing program."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from signing.report import Kind, Report, SignatureReport
from tests.attack_support import contract_pdf
from tests.longterm_support import SIGNED, renewed, sign, stamped

_NUMBERS = re.compile(rb"\d+")
_NAMES = re.compile(rb"/[A-Za-z]{2,}")
_HOLES = re.compile(rb"<[0-9a-fA-F]{2000,}>")
_RANGES = re.compile(rb"/ByteRange\s*\[\s*0\s+\d+\s+(\d+)\s+(\d+)\s*\]")
_INTERESTING = (b"0", b"-1", b"1", b"65535", b"99999999999", b"4294967296", b"null", b"true", b"[]", b"<<>>", b"(x)")
_WORDS = (
    b"/ByteRange",
    b"/Contents",
    b"/Type /DocTimeStamp",
    b"/SubFilter /ETSI.RFC3161",
    b"endobj",
    b"stream",
    b"\nxref\n0 1\n",
    b"trailer\n<<>>\n",
    b"startxref\n0\n%%EOF\n",
    b"/Prev 0",
    b"/XRefStm 9",
    b"1 0 R",
    b"/DSS 1 0 R",
)


@cache
def seeds() -> tuple[bytes, ...]:
    """Valid files of every level, from which everything starts."""
    return (
        sign("b-b"),
        sign("b-t", pdf=contract_pdf()),
        sign("b-lt"),
        sign("b-lta", pdf=contract_pdf(form=False)),
        stamped(sign("b-b"), SIGNED),
        sign("b-t", pdf=sign("b-t"), name="Second"),
        renewed(sign("b-lta"), SIGNED, later=False),
    )


def _flip(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 8))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def _cut(content: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(content))
    del content[at : at + chance.choice((1, 3, 50, 4000))]


def _put(content: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(content))
    content[at:at] = chance.choice((*_WORDS, chance.randbytes(chance.randrange(1, 20))))


def _repeat(content: bytearray, chance: random.Random) -> None:
    at, size = chance.randrange(len(content)), chance.choice((8, 200, 6000))
    to = chance.randrange(len(content))
    content[to:to] = content[at : at + size]


def _other(content: bytearray, chance: random.Random) -> None:
    other = chance.choice(seeds())
    at = chance.randrange(min(len(content), len(other)))
    content[at:] = other[at:]


def _replace(pattern: re.Pattern[bytes], words: Sequence[bytes]) -> Callable[[bytearray, random.Random], None]:
    def change(content: bytearray, chance: random.Random) -> None:
        found = list(pattern.finditer(content))
        if found:
            place = chance.choice(found)
            content[place.start() : place.end()] = chance.choice(words)

    return change


def _behind(content: bytearray, chance: random.Random) -> None:
    content += chance.choice((b"\n", b" ", b"%", chance.choice(_WORDS), bytes(content[-600:]), chance.choice(seeds())))


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _flip,
    _cut,
    _put,
    _repeat,
    _other,
    _replace(_NUMBERS, _INTERESTING),
    _replace(_NUMBERS, _INTERESTING),
    _replace(_NAMES, (b"/V", b"/Fields", b"/Kids", b"/Parent", b"/Root", b"/Type", b"/FT /Sig")),
    _behind,
)


def mutated(pdf: bytes, chance: random.Random) -> bytes:
    """``pdf`` with one to three random changes."""
    content = bytearray(pdf)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if content:
            chance.choice(_CHANGES)(content, chance)
    return bytes(content)


def without_holes(pdf: bytes) -> bytes:
    """What signatures cover of a file, and where they stand, but not what stands in them; no spaces at the end."""
    return _HOLES.sub(lambda hole: b"<%d>" % len(hole[0]), pdf).rstrip()


def covered(pdf: bytes) -> int:
    """How far the last signature covers a file: validation data may stand behind it, and nobody signed that."""
    found = _RANGES.findall(pdf)
    return int(found[-1][0]) + int(found[-1][1]) if found else len(pdf)


def is_sound(content: bytes, report: Report, of_seeds: dict[bytes, Report]) -> bool:
    """Whether a report may say what it says.

    Valid are only the seeds. Inside a signature's room, where not every byte is signed, a change may leave what is said
    as it was, or less of it; so may one in validation data behind the last signature.
    """
    if not report.valid:
        return True
    return any(
        _signed(seed) == without_holes(content[: covered(seed)])
        and (covered(seed) < len(seed) or not content[len(seed) :].strip())
        and is_said_by(honest, report)
        for seed, honest in of_seeds.items()
    )


@cache
def _signed(seed: bytes) -> bytes:
    return without_holes(seed[: covered(seed)])


def is_said_by(honest: Report, report: Report) -> bool:
    """Whether a report says nothing but what an honest one says.

    It may say less: a signature's time-stamp is not signed, so it can be lost, and with it level and time.
    """
    pairs = zip(honest.signatures, report.signatures, strict=False)
    return len(honest.signatures) == len(report.signatures) and all(_is_less(*pair) for pair in pairs)


def _is_less(honest: SignatureReport, found: SignatureReport) -> bool:
    unsigned = {"coverage": None, "changes": None, "level": None, "revocation": None}
    if found.time is None and found.kind is Kind.SIGNATURE:
        unsigned["time"] = None
    return replace(honest, **unsigned) == replace(found, **unsigned)  # type: ignore[arg-type]
