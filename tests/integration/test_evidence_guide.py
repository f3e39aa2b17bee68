"""docs/evidence.md, as it is written: each command does what the page says, in a folder with nothing but a bundle."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from service.domain.evidence import EvidenceEvent
from service.usecases import deliveries, mailbox
from tests.bundle_support import bare_python, unpacked
from tests.pipeline_support import Pipeline
from tests.tools_support import program
from tests.usecase_support import Sender, activate, deliver, with_post

PAGE = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SAID = [
    "documents/document.pdf: the evidence names it",
    "inclusion: leaf 0 of",
    "",
    "Signature Verified",
    "Time stamp:",
]


@pytest.fixture
def folder(pipeline: Pipeline, organisation: Sender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    mailbox.open_message(pipeline.context, an, delivery)
    pipeline.sequence()
    return unpacked(deliveries.bundle(pipeline.context, sender, delivery), tmp_path_factory.mktemp("bundle"))


def run(block: str, folder: Path) -> subprocess.CompletedProcess[str]:
    found = os.pathsep.join({str(Path(program(name)).parent) for name in ("openssl", "sha256sum", "bash")})
    environment = {"PATH": f"{bare_python().parent}{os.pathsep}{found}", "LC_ALL": "C.UTF-8"}
    command = ["bash", "-euo", "pipefail", "-c", block]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120, env=environment
    )


def test_every_command_of_the_page_finds_untouched_evidence_good(folder: Path) -> None:
    assert len(BLOCKS) == 6
    outputs = []
    for block in BLOCKS:
        done = run(block, folder)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        outputs.append(done.stdout + done.stderr)
    for said, output in zip(SAID, outputs, strict=False):
        assert said in output
        assert "FAILED" not in output
    computed, stored = outputs[2].split()
    assert computed == stored
    assert outputs[4].count("Verification: OK") == outputs[4].count("Time stamp:") >= 1
    assert "CAdES Verification successful" in outputs[5]


def test_every_command_of_the_page_finds_what_was_changed(folder: Path) -> None:
    record = folder / "evidence" / "01-SubmissionAcceptance.json"
    record.write_text(record.read_text().replace('"issuer": "', '"issuer": "Another '))
    for text in folder.glob("checkpoints/*.txt"):
        text.write_text(text.read_text() + "\n")
    document = folder / "documents" / "document.pdf"
    document.write_bytes(document.read_bytes().replace(b"%PDF-1.", b"%PDF-2.", 1))
    outcomes = [run(block, folder) for block in BLOCKS]
    computed, stored = outcomes[2].stdout.split()
    assert computed != stored
    assert all(done.returncode != 0 for at, done in enumerate(outcomes) if at != 2), [
        each.returncode for each in outcomes
    ]


def test_the_page_speaks_of_every_event() -> None:
    told = re.findall(r"^\| (\w+) \| [^|]+ \| [^|]+ \|$", PAGE, re.MULTILINE)
    assert {name for name in told if name[0].isupper()} >= {event.value for event in EvidenceEvent}
