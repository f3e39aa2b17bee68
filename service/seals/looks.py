"""What can be seen of seals, from a profile's table, and of people's signatures."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import IO, Final
from zoneinfo import ZoneInfo

import msgspec
import structlog

import printing
from printing.apart import apart
from service.seals.errors import ProfileRefused
from signing.appearance import LATIN, Appearance, Shown
from signing.appearance.room import look
from signing.appearance.table import Table
from signing.appearance.words import Language

log = structlog.get_logger()

FONT: Final = Path(printing.__file__).with_name("fonts") / "LiberationSans-Regular.ttf"
SECONDS: Final = 5
"""Processor time to look at one page; an ordinary one takes milliseconds."""
MEMORY: Final = 512 << 20
_LARGEST_LOGO: Final = 4 << 20
_BRUSSELS: Final = ZoneInfo("Europe/Brussels")


def appearance(table: Table, folder: Path, check_address: str | None = None) -> Appearance:
    """Make what a profile's table describes; the logo lies in ``folder``.

    Codes are checked at ``check_address`` where the table doesn't say otherwise.

    Raises:
        ProfileRefused: it can't be made.
    """

    def read(name: str) -> bytes:
        with (folder / name).open("rb") as opened:
            content = opened.read(_LARGEST_LOGO + 1)
        if len(content) > _LARGEST_LOGO:
            raise ProfileRefused("The logo of the seal profile is larger than four megabytes.")
        return content

    if table.check_address is None:
        table = msgspec.structs.replace(table, check_address=check_address)
    try:
        return table.appearance(font=FONT.read_bytes(), read=read, look_at=look_apart)
    except ValueError as error:
        raise ProfileRefused(f"The look of the seal profile can't be used: {error}") from error
    except OSError as error:
        raise ProfileRefused(
            "A file that the seal profile names can't be read.", context={"fault": type(error).__name__}
        ) from error


def look_apart(stream: IO[bytes], page: int, scale: float) -> bytes:
    """Look at a page for room in a process of its own: a page made to hurt pdfium costs its panel, and nothing else."""
    return apart(lambda: look(stream, page, scale), seconds=SECONDS, memory=MEMORY) or b""


@lru_cache(maxsize=16)
def of_people(language: Language, further: str = "") -> Appearance:
    """What can be seen of people's signatures; ``further``: characters of their names that aren't Latin."""
    return Appearance(
        font=FONT.read_bytes(),
        organisation="",
        language=language,
        zone=_BRUSSELS,
        act="signed",
        characters=LATIN + further,
        look_at=look_apart,
    )


def beyond_latin(names: Iterable[str]) -> str:
    """The characters of names that aren't Latin, each once and in order."""
    return "".join(sorted(set("".join(names)) - set(LATIN)))


def tell(shown: Shown, *, event: str = "seal_not_shown") -> None:
    """Log why a seal or signature that was to be seen can't be; the document is sealed or signed all the same."""
    if shown.reason is not None:
        log.info(event, reason=shown.reason.value)
