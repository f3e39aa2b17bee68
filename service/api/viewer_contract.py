"""The contract in OpenAPI 3.0, for the bundled viewer alone: its version of Swagger UI refuses to show 3.1.

What integrators and tools get is 3.1; this is a picture of it. Only what the two versions write differently changes.
"""

from collections.abc import Mapping
from typing import Any


def as_openapi_30(contract: Mapping[str, Any]) -> dict[str, Any]:
    """The same contract as OpenAPI 3.0.3."""
    plain: dict[str, Any] = _older(contract)
    plain["openapi"] = "3.0.3"
    plain["info"]["license"].pop("identifier")
    return plain


def _older(value: Any) -> Any:
    if isinstance(value, list):
        return [_older(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    plain = {key: _older(each) for key, each in value.items()}
    _null(plain)
    if isinstance(plain.get("examples"), list):
        plain["example"] = plain.pop("examples")[0]
    if isinstance(plain.pop("contentMediaType", None), str):
        plain["format"] = "binary"
    return plain


def _null(schema: dict[str, Any]) -> None:
    """A type "null" among others becomes the word that 3.0 has for it."""
    if isinstance(kinds := schema.get("type"), list) and set(kinds) - {"null"} == {"string"}:
        schema |= {"type": "string", "nullable": "null" in kinds}
    for word in ("oneOf", "anyOf"):
        alternatives = schema.get(word)
        if not isinstance(alternatives, list):
            continue
        kept = [each for each in alternatives if each.get("type") != "null"]
        if len(kept) == len(alternatives):
            continue
        del schema[word]
        schema |= {"nullable": True, **({"allOf": kept} if len(kept) == 1 else {word: kept})}
