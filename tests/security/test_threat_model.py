"""The threat model names a test for each threat, and each of them exists."""

import ast
import re
from functools import lru_cache

from tests.embedded_support import CHECKOUT

PAGE = CHECKOUT / "docs" / "threat-model.md"


@lru_cache(maxsize=1)
def known_tests() -> frozenset[str]:
    return frozenset(
        node.name
        for file in (CHECKOUT / "tests").rglob("test_*.py")
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if re.match(r"\| [STRIDE] \|", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_threat_names_tests_and_each_of_them_exists() -> None:
    assert len(rows()) > 40
    for letter, threat, counter, named in rows():
        found = re.findall(r"`(test_\w+)`", named)
        assert counter, threat
        assert found, f"no test for: {letter} {threat}"
        assert set(found) <= known_tests(), f"{threat}: {sorted(set(found) - known_tests())}"


def test_every_boundary_and_every_kind_of_threat_is_there() -> None:
    text = PAGE.read_text("utf-8")
    for number in range(1, 10):
        assert re.search(rf"^## .*B{number}\b", text, re.MULTILINE), f"B{number}"
    assert {row[0] for row in rows()} == set("STRIDE")
