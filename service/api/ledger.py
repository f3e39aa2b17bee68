"""``/ledger``: the public log of evidence (C2SP tlog-tiles). It holds hashes only."""

from typing import Any, Final

from litestar import Controller, Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from service.api.calls import context_of, public
from service.domain.errors import NotFound
from service.ledger import evidence_proof, tiles
from service.ledger.errors import ProofRefused
from service.web import problems

_NOTE: Final = "text/plain"
_TILE: Final = "application/octet-stream"
# A full tile never changes. A partial one does not either, but nobody asks for it again once the log has grown.
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_FOR_A_WHILE: Final = "public, max-age=60"


def _answer(kind: type, description: str, media_type: str) -> dict[int, ResponseSpec]:
    return {200: ResponseSpec(kind, description=description, media_type=media_type, generate_examples=False)}


def _no_tile(request: Request[Any, Any, Any], _error: ProofRefused) -> Response[Any]:
    return problems.answer(request, NotFound("There is no such tile.", code="tile_unknown"))


class Ledger(Controller):
    """What anybody needs to check that the log only grows and that an evidence is in it."""

    path = "/ledger"
    tags = ("Ledger",)

    @get(
        "/checkpoint",
        summary="Read the newest signed checkpoint",
        operation_id="readCheckpoint",
        media_type=_NOTE,
        sync_to_thread=True,
        **public(404, 503, also=_answer(str, "A C2SP signed note.", "text/plain")),
    )
    def checkpoint(self, request: Request[Any, Any, Any]) -> Response[str]:
        """Send the newest checkpoint."""
        with context_of(request).database.transaction() as session:
            note = evidence_proof.newest_note(session)
        if note is None:
            raise NotFound("Nothing is published yet.", code="checkpoint_none")
        return Response(note, media_type=_NOTE, headers={"Cache-Control": "public, max-age=1"})

    @get(
        "/tile/{tile:path}",
        summary="Read a tile of hashes",
        operation_id="readTile",
        media_type=_TILE,
        sync_to_thread=True,
        exception_handlers={ProofRefused: _no_tile},
        **public(400, 404, 503, also=_answer(bytes, "Up to 256 hashes of 32 bytes.", _TILE)),
    )
    def tile(self, request: Request[Any, Any, Any], tile: FromPath[str]) -> Response[bytes]:
        """Send a tile that a signed checkpoint covers, whole or as far as it went: ``{level}/{number}[.p/{width}]``."""
        path = tile.removeprefix("/")
        wanted = tiles.parse(path)
        with context_of(request).database.transaction() as session:
            hashes = evidence_proof.tile(session, wanted)
        if hashes is None:
            raise NotFound("There is no such tile.", code="tile_unknown")
        lasting = _FOR_A_WHILE if ".p/" in path else _FOR_EVER
        return Response(hashes, media_type=_TILE, headers={"Cache-Control": lasting})
