"""Telling which changes of the contract break programs that were written against the earlier one.

Adding is allowed: calls, optional parameters and fields of requests, fields of answers, answers. Everything else breaks
somebody: what is gone, what became required, what changed its type, words of an answer's closed list that are new.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any


class Side(Enum):
    """Who writes a value: programs of integrators, or we."""

    REQUEST = "request"
    ANSWER = "answer"


_METHODS = ("get", "put", "post", "delete", "patch")


def breaking_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Each breaking change between two OpenAPI 3.1 documents, as a sentence; empty when there is none."""
    return sorted(set(_Comparison(old, new).changes()))


class _Comparison:
    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old, self._new = old, new
        self._seen: set[tuple[int, int, Side]] = set()

    def changes(self) -> Iterator[str]:
        for path, operations in self._old["paths"].items():
            for method in _METHODS:
                if method not in operations:
                    continue
                there = self._new["paths"].get(path, {}).get(method)
                name = f"{method.upper()} {path}"
                if there is None:
                    yield f"{name} is gone"
                else:
                    yield from self._operation(name, operations[method], there)

    def _operation(self, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
        if old.get("operationId") != new.get("operationId"):
            yield f"{name}: operationId changed"
        if _security(old) != _security(new):
            yield f"{name}: who may call changed"
        yield from self._parameters(name, old, new)
        yield from self._contents(
            f"{name} request", old.get("requestBody", {}), new.get("requestBody", {}), Side.REQUEST
        )
        if new.get("requestBody", {}).get("required") and not old.get("requestBody", {}).get("required"):
            yield f"{name}: the body became required"
        for status, answer in old["responses"].items():
            if status not in new["responses"]:
                yield f"{name}: answer {status} is gone"
            else:
                yield from self._contents(f"{name} {status}", answer, new["responses"][status], Side.ANSWER)

    def _parameters(self, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
        before = {(each["in"], each["name"]): each for each in old.get("parameters", ())}
        after = {(each["in"], each["name"]): each for each in new.get("parameters", ())}
        for key in before.keys() - after.keys():
            yield f"{name}: parameter {key[1]} is gone"
        for key, parameter in after.items():
            if parameter.get("required") and not before.get(key, {}).get("required"):
                yield f"{name}: parameter {key[1]} became required"
            if key in before:
                where = f"{name} parameter {key[1]}"
                yield from self._schema(where, before[key].get("schema", {}), parameter.get("schema", {}), Side.REQUEST)

    def _contents(self, where: str, old: Mapping[str, Any], new: Mapping[str, Any], side: Side) -> Iterator[str]:
        for kind, content in old.get("content", {}).items():
            if kind not in new.get("content", {}):
                yield f"{where}: {kind} is gone"
            else:
                yield from self._schema(where, content.get("schema", {}), new["content"][kind]["schema"], side)

    def _schema(self, where: str, old: Mapping[str, Any], new: Mapping[str, Any], side: Side) -> Iterator[str]:
        old, new = _resolved(self._old, old), _resolved(self._new, new)
        key = (id(old), id(new), side)
        if key in self._seen:
            return
        self._seen.add(key)
        yield from _kinds(where, old, new, side)
        yield from self._fields(where, old, new, side)
        if "items" in old and "items" in new:
            yield from self._schema(f"{where}[]", old["items"], new["items"], side)

    def _fields(self, where: str, old: Mapping[str, Any], new: Mapping[str, Any], side: Side) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for field in before.keys() - after.keys():
            yield f"{where}: field {field} is gone"
        required = set(new.get("required", ())), set(old.get("required", ()))
        if side is Side.REQUEST:
            for field in required[0] - required[1]:
                yield f"{where}: field {field} became required"
        else:
            for field in required[1] - required[0] - (before.keys() - after.keys()):
                yield f"{where}: field {field} may now be missing"
        for field in before.keys() & after.keys():
            yield from self._schema(f"{where}/{field}", before[field], after[field], side)


def _security(operation: Mapping[str, Any]) -> list[str]:
    return sorted(str(sorted(each.items())) for each in operation.get("security", ()))


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        target: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def _kinds(where: str, old: Mapping[str, Any], new: Mapping[str, Any], side: Side) -> Iterator[str]:
    """Types and closed lists: a request may only come to allow more, an answer only to hold less."""
    before, after = _types(old), _types(new)
    narrower = (after - before) if side is Side.ANSWER else (before - after)
    if before and after and narrower:
        yield f"{where}: type changed ({', '.join(sorted(narrower))})"
    words = set(map(str, old.get("enum", ()))), set(map(str, new.get("enum", ())))
    gone = (words[1] - words[0]) if side is Side.ANSWER else (words[0] - words[1])
    if words[0] and (gone if words[1] else side is Side.ANSWER):
        yield f"{where}: closed list changed ({', '.join(sorted(gone)) or 'it is open now'})"
    if side is Side.REQUEST and words[1] and not words[0]:
        yield f"{where}: became a closed list"


def _types(schema: Mapping[str, Any]) -> set[str]:
    found = schema.get("type", [])
    kinds = {found} if isinstance(found, str) else set(found)
    for alternative in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        kinds |= _types(alternative) if "$ref" not in alternative else {alternative["$ref"].rsplit("/", 1)[-1]}
    return kinds
