"""``/openapi.json`` and ``/docs``: the contract, and a viewer for it that loads nothing from anywhere else."""

import mimetypes
from pathlib import Path
from typing import Any, Final

import msgspec
import swagger_ui_bundle
from litestar import MediaType, Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from service.api.viewer_contract import as_openapi_30
from service.domain.errors import NotFound
from service.web.guards import PUBLIC

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OURS: Final = Path(__file__).parent / "viewer"
_BUNDLED: Final = Path(str(swagger_ui_bundle.swagger_ui_path))
_FILES: Final = {
    "viewer.js": _OURS,
    "swagger-ui.css": _BUNDLED,
    "swagger-ui-bundle.js": _BUNDLED,
    "favicon-32x32.png": _BUNDLED,
}
_CACHED: Final = {"Cache-Control": "public, max-age=3600"}


def documentation_handlers(contract: dict[str, Any]) -> list[ControllerRouterHandler]:
    """The routes that show ``contract``."""
    whole, older = msgspec.json.encode(contract), msgspec.json.encode(as_openapi_30(contract))
    page = (_OURS / "index.html").read_text("utf-8")
    files = {name: (folder / name).read_bytes() for name, folder in _FILES.items()}

    @get("/openapi.json", guards=[PUBLIC], sync_to_thread=False)
    def contract_file() -> Response[bytes]:
        """Send the contract."""
        return Response(whole, media_type=MediaType.JSON, headers=_CACHED)

    @get("/docs", guards=[PUBLIC], sync_to_thread=False)
    def viewer() -> Response[str]:
        """Send the viewer's page."""
        return Response(page, media_type=MediaType.HTML, headers={"Content-Security-Policy": POLICY, **_CACHED})

    @get("/docs/contract.json", guards=[PUBLIC], sync_to_thread=False)
    def viewer_contract() -> Response[bytes]:
        """Send the contract as the viewer can read it."""
        return Response(older, media_type=MediaType.JSON, headers=_CACHED)

    @get("/docs/{name:str}", guards=[PUBLIC], sync_to_thread=False)
    def viewer_file(name: FromPath[str]) -> Response[bytes]:
        """Send one of the viewer's files; nothing else of the folders can be reached."""
        if name not in files:
            raise NotFound("There is no such file.")
        return Response(files[name], media_type=mimetypes.guess_type(name)[0], headers=_CACHED)

    return [contract_file, viewer, viewer_contract, viewer_file]
