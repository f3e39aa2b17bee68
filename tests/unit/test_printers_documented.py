"""The print houses that the documentation shows: each is opened as a process in production opens it."""

import contextlib
import re
from pathlib import Path

import asyncssh
import pytest
from pyrage import x25519

from printing.presort import __file__ as presort_module
from service.printers import opening

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = [
    (page, number, text)
    for page in ("printing.md", "deployment.md")
    for number, text in enumerate(re.findall(r"```toml\n(name = .*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL))
]


def test_both_pages_show_some() -> None:
    assert {page for page, _, _ in EXAMPLES} == {"printing.md", "deployment.md"}


@pytest.mark.parametrize(("page", "number", "text"), EXAMPLES, ids=lambda value: str(value)[:20].split("\n")[0])
def test_an_example_is_one_that_production_takes(tmp_path: Path, page: str, number: int, text: str) -> None:
    assert "[encryption]" in text, (page, number)
    private = asyncssh.generate_private_key("ssh-ed25519")
    private.write_private_key(tmp_path / "client.key")
    text = text.replace("age1…", str(x25519.Identity.generate().to_public()))
    text = re.sub(r"ssh-ed25519 AAAA…", private.export_public_key().decode().strip(), text)
    for file in re.findall(r'"([a-z]+\.(?:secret|token))"', text):
        (tmp_path / file).write_text("f" * 64 + "\n")
    if table := re.search(r'presort = "(.+?)"', text):
        (tmp_path / table[1]).write_bytes(Path(presort_module).with_name("presort.toml").read_bytes())
    found = re.search(r'name = "(.+?)"', text)
    assert found is not None
    (tmp_path / f"{found[1]}.toml").write_text(text)
    # The second that an example names, as its file would be.
    if second := re.search(r'second = "(.+?)"', text):
        (tmp_path / f"{second[1]}.toml").write_text(re.sub(r"second = .*\n", "", text).replace(found[1], second[1], 1))
    with contextlib.ExitStack() as closing:
        printers = opening.open_all(tmp_path, encrypted=True, closing=closing)
    assert len(printers.named(found[1]).recipients) == 1
