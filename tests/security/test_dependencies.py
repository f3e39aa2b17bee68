"""What we ship: locked, audited, and under licences that go with ours."""

import re
from importlib import metadata
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from service.embedded import audit
from tests.embedded_support import CHECKOUT

SHIPPED = ("service", "demo")
_GOOD = (
    "mit", "mit-0", "mit-cmu", "bsd", "apache", "psf-2.0", "python software foundation", "isc", "mpl-2.0",
    "mozilla public license 2.0", "0bsd", "zlib", "unlicense",
)  # fmt: skip
LESSER = {"psycopg", "psycopg-binary", "psycopg-pool", "python-stdnum"}
"""Under the LGPL: used unchanged and exchangeable, which it allows; the EUPL-1.2 names it as compatible."""
_MIXED = {"pypdfium2": "BSD-3-Clause, Apache-2.0, dependency licenses"}
"""Whose texts name several: looked at by hand (PDFium's parts are all permissive)."""
_CHOSEN = {"asyncssh": "EPL-2.0 OR GPL-2.0-or-later"}
"""Of two we take the first: programs of another licence may use it, and we use it unchanged."""
_BY_FILE = {"pyrage": "licenses/LICENSE"}
"""Which say it in a file alone."""
_MIT = "Permission is hereby granted, free of charge, to any person"


def locked(name: str) -> dict[str, str]:
    lines = (CHECKOUT / "requirements" / f"{name}.txt").read_text("utf-8").splitlines()
    found = [Requirement(line.rstrip("\\ ")) for line in lines if re.match(r"[a-zA-Z0-9]", line)]
    return {each.name: str(each.specifier) for each in found if each.marker is None or each.marker.evaluate()}


def licence_of(name: str) -> str:
    known: Any = metadata.metadata(name)
    classified = [each.split("::")[-1].strip() for each in known.get_all("Classifier") or [] if "License ::" in each]
    texts = (known.get("License-Expression"), "; ".join(classified), (known.get("License") or "").split("\n")[0])
    said = next((text for text in texts if text and text != "OSI Approved"), "")
    file = (metadata.distribution(name).read_text(_BY_FILE[name]) or "") if name in _BY_FILE else ""
    return said or ("MIT" if _MIT in file else "")


def is_good(name: str, licence: str) -> bool:
    if licence in {_MIXED.get(name), _CHOSEN.get(name)} or (
        name in LESSER and ("LGPL" in licence or "Lesser" in licence)
    ):
        return True
    lowered = licence.lower()
    return not re.search(r"gpl|affero|sspl|busl|commercial|proprietary", lowered) and any(
        good in lowered for good in _GOOD
    )


@pytest.mark.parametrize("lock", SHIPPED)
def test_every_library_that_is_shipped_has_a_licence_that_goes_with_ours(lock: str) -> None:
    names = locked(lock)
    assert len(names) > 50
    bad = {name: licence for name in names if not is_good(name, licence := licence_of(name))}
    assert bad == {}


@pytest.mark.parametrize(
    "licence", ["GNU Affero General Public License v3", "AGPL-3.0-only", "GPL-3.0", "SSPL-1.0", "LGPL-3.0-only", ""]
)
def test_licences_that_do_not_go_with_ours_are_recognised(licence: str) -> None:
    assert not is_good("somebody", licence)


def test_the_audited_lock_holds_all_others_in_the_same_versions() -> None:
    assert audit.LOCKS == ("requirements/dev.txt",)
    whole = locked("dev")
    for name in SHIPPED:
        assert locked(name).items() <= whole.items()


@pytest.mark.parametrize("lock", ["service", "demo", "dev"])
def test_every_locked_library_is_held_by_its_hash(lock: str) -> None:
    text = (CHECKOUT / "requirements" / f"{lock}.txt").read_text("utf-8")
    entries = re.split(r"\n(?=[a-zA-Z0-9])", "\n" + text)[1:]
    assert all("==" in each.split("\n")[0] and "--hash=sha256:" in each for each in entries)


@pytest.mark.parametrize("lock", ["service", "demo", "dev"])
def test_extras_that_libraries_ask_for_are_locked_by_name(lock: str) -> None:
    """Without them pip takes the newest release for a library with an extra, and then refuses it for want of a hash."""
    lines = (CHECKOUT / "requirements" / f"{lock}.txt").read_text("utf-8").splitlines()
    held = [Requirement(line.rstrip("\\ ")) for line in lines if re.match(r"[a-zA-Z0-9]", line)]
    locked_extras = {each.name: each.extras for each in held if each.marker is None or each.marker.evaluate()}
    missing = set()
    for name, asked in locked_extras.items():
        for text in metadata.requires(name) or []:
            needed = Requirement(text)
            wanted = any(needed.marker is None or needed.marker.evaluate({"extra": each}) for each in ("", *asked))
            if wanted and needed.extras - locked_extras.get(canonicalize_name(needed.name), set()):
                missing.add(f"{name} needs {text}")
    assert locked_extras
    assert missing == set()
