"""Paths of tiles (C2SP tlog-tiles): ``tile/<L>/<N>[.p/<W>]``, the number in groups of three digits."""

import re
from dataclasses import dataclass

from service.ledger.errors import ProofRefused
from service.ledger.merkle import TILE_WIDTH

_PATH = re.compile(r"(?:/?tile/)?(0|[1-9]\d?)/((?:x\d{3}/)*\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)
_MAX_LEVEL = 63


@dataclass(frozen=True, slots=True)
class TilePath:
    """A tile as a client asks for it; ``width`` is 256 for a full tile, 1 to 255 for a partial one."""

    level: int
    number: int
    width: int = TILE_WIDTH

    def __str__(self) -> str:
        """The path below the log's address, without a leading slash."""
        digits = str(self.number)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        return f"tile/{self.level}/{number}" + ("" if self.width == TILE_WIDTH else f".p/{self.width}")


def parse(path: str) -> TilePath:
    """Read a tile's path, with or without the leading ``tile/``.

    Raises:
        ProofRefused: it is not the one way to write a tile's path.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise ProofRefused("This is not the path of a tile.")
    level, number, width = match.groups()
    tile = TilePath(int(level), int(number.replace("x", "").replace("/", "")), int(width or TILE_WIDTH))
    canonical = str(tile).removeprefix("tile/") == path.removeprefix("/").removeprefix("tile/")
    if tile.level > _MAX_LEVEL or not canonical:
        raise ProofRefused("This is not the path of a tile.")
    return tile


def partial_tiles(size: int) -> list[TilePath]:
    """The partial tiles of a tree of ``size`` leaves, the lowest level first."""
    found, level = [], 0
    while size >> (8 * level):
        number, width = divmod(size >> (8 * level), TILE_WIDTH)
        if width:
            found.append(TilePath(level, number, width))
        level += 1
    return found


def is_published(tile: TilePath, size: int) -> bool:
    """Whether all hashes of ``tile`` belong to the signed tree of ``size`` leaves."""
    return tile.number * TILE_WIDTH + tile.width <= size >> (8 * tile.level)
