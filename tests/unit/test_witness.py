"""The witness: what it cosigns, what it refuses and how loudly, and what it never forgets."""

import asyncio
import threading
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from service.ledger import checkpoint, notes, witness_web
from service.ledger import witness as witnesses
from service.ledger.add_checkpoint import SIZE_TYPE, AddCheckpoint, parse
from service.ledger.errors import NoteRefused, ProofRefused, WitnessUnusable
from service.ledger.witness import Answer, Witness
from tests.ledger_support import NOW, ORIGIN, leaves, signer
from tests.witness_support import NAME, asking, command, made

LATER = NOW + timedelta(minutes=1)
EXAMPLE = (
    "old 20852014\n"
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n"
    "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"
    "\n"
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeM"
    "cTOAYQ8=\n"
)


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return made(tmp_path / "w")


def ask(witness: Witness, asked: AddCheckpoint) -> Answer:
    return witness.answer(bytes(asked), now=LATER)


def remembered(witness: Witness) -> int:
    last = witness.logs()[ORIGIN]
    return 0 if last is None else last.size


def test_the_published_request_is_read_and_written_byte_for_byte() -> None:
    found = parse(EXAMPLE.encode())
    assert (found.old, len(found.proof), checkpoint.parse(notes.split(found.note)[0]).size) == (20852014, 4, 20852163)
    assert bytes(found) == EXAMPLE.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"old 1\n", b"old 01\n\nnote", b"old -1\n\nnote", b"old 1\nAAAA\n\nnote", b"old 1\n!\n\nnote", b"\xff\n\n",
        b"new 1\n\nnote", b"old 1 \n\nnote", b"old 1\n" + (b"A" * 43 + b"=\n") * 64 + b"\nnote",
        b"old 1\n\n" + b"x" * 70_000,
    ],
)  # fmt: skip
def test_malformed_requests_are_refused(witness: Witness, body: bytes) -> None:
    with pytest.raises(ProofRefused):
        parse(body)
    assert witness.answer(body, now=NOW).status == 400


def test_what_continues_is_cosigned_with_both_keys_and_remembered(tmp_path: Path, witness: Witness) -> None:
    row, before = leaves(600), 0
    for size in (1, 255, 256, 257, 600, 600):
        asked = asking(row, before, size=size)
        answer = ask(witness, asked)
        assert answer.status == 200
        text = notes.split(asked.note)[0]
        opened = notes.open_note(f"{text}\n{answer.body}", [notes.VerifierKey.parse(each) for each in witness.vkeys])
        assert [(each.key.name, each.key.type, each.at) for each in opened.verified] == [
            (NAME, notes.KeyType.COSIGNATURE_ED25519, LATER),
            (NAME, notes.KeyType.COSIGNATURE_ML_DSA_44, LATER),
        ]
        # Whoever starts it anew finds what it cosigned.
        witness, before = Witness(tmp_path / "w"), size
        assert remembered(witness) == size
    assert witness.refusals() == []


def test_an_empty_log_is_cosigned_too(witness: Witness) -> None:
    assert ask(witness, asking([], 0)).status == 200
    assert ask(witness, asking(leaves(3), 0)).status == 200


def test_a_log_that_is_not_known_is_not_cosigned(witness: Witness) -> None:
    other = signer("another.example/log")
    note = other.sign(checkpoint.Checkpoint(other.origin, 1, leaves(1)[0]), at=NOW)
    assert ask(witness, AddCheckpoint(0, (), note)).status == 404


def test_a_checkpoint_that_the_log_did_not_sign_is_not_cosigned(witness: Witness) -> None:
    good = asking(leaves(2), 0)
    forger = signer("another.example/log")
    text = notes.split(good.note)[0]
    foreign = text + "\n" + forger._keys[0].sign(text, at=NOW)
    spoiled = good.note.replace("\n2\n", "\n3\n", 1)
    for note in (foreign, spoiled):
        assert ask(witness, AddCheckpoint(0, (), note)).status == 403
    assert remembered(witness) == 0


def test_the_old_size_must_be_what_was_cosigned_last(witness: Witness) -> None:
    row = leaves(9)
    assert ask(witness, asking(row, 0, size=4)).status == 200
    for old in (0, 3, 5):
        assert ask(witness, asking(row, old)) == Answer(409, "4\n", SIZE_TYPE)
    assert ask(witness, AddCheckpoint(10, (), asking(row, 4).note)).status == 400
    assert ask(witness, asking(row, 4)).status == 200


def test_a_fork_of_the_same_size_is_refused_and_its_proof_kept(
    tmp_path: Path, witness: Witness, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(witness, asking(leaves(5), 0)).status == 200
    fork = asking(leaves(5, of="other"), 0)
    for old in (0, 5):
        answer = ask(witness, AddCheckpoint(old, (), fork.note))
        assert (answer.status, answer.content_type == SIZE_TYPE) == (409, False)
    assert "forked" in capsys.readouterr().out
    (name,) = witness.refusals()
    kept = parse((tmp_path / "w" / "refused" / name).read_bytes())
    # Two checkpoints of one size, both signed by the log: enough for anybody.
    both = [notes.open_note(note, signer().verifiers).text for note in (kept.note, asking(leaves(5), 0).note)]
    assert both[0] != both[1]
    assert command(tmp_path, "status", "--folder", "w").returncode == 1


def test_a_fork_that_grew_is_refused(tmp_path: Path, witness: Witness) -> None:
    assert ask(witness, asking(leaves(5), 0)).status == 200
    assert ask(witness, asking(leaves(9, of="other"), 5)).status == 422
    assert remembered(witness) == 5
    assert [name.split("-")[0] for name in witness.refusals()] == ["unproven"]
    # Anybody can send a wrong proof with a right checkpoint: that alone accuses nobody.
    assert command(tmp_path, "status", "--folder", "w").returncode == 0


def test_a_log_that_calls_a_smaller_tree_its_newest_later_is_caught(witness: Witness) -> None:
    row = leaves(9)
    assert ask(witness, asking(row, 0)).status == 200
    # An old checkpoint that somebody sends once more is nobody's fault.
    assert ask(witness, asking(row, 0, size=4, at=NOW - timedelta(minutes=1))).status == 409
    assert witness.refusals() == []
    assert ask(witness, asking(row, 0, size=4, at=LATER)) == Answer(409, "9\n", SIZE_TYPE)
    assert [name.split("-")[0] for name in witness.refusals()] == ["rolled_back"]
    assert remembered(witness) == 9


def test_wrong_proofs_fill_no_disk(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witnesses, "REFUSED_KEPT", 3)
    assert ask(witness, asking(leaves(5), 0)).status == 200
    for size in range(6, 12):
        assert ask(witness, asking(leaves(size, of="other"), 5)).status == 422
    assert ask(witness, asking(leaves(5, of="other"), 5)).status == 409
    assert len(witness.refusals()) == 4


@pytest.mark.parametrize("content", [None, b"\xff", b"old", b"zending.example/log\n9\n"])
def test_who_lost_the_memory_cosigns_nothing(tmp_path: Path, witness: Witness, content: bytes | None) -> None:
    assert ask(witness, asking(leaves(5), 0)).status == 200
    memory = tmp_path / "w" / "heads" / sha256(ORIGIN.encode()).hexdigest()
    if content is None:
        memory.unlink()
    else:
        memory.write_bytes(content)
    for row in (leaves(5), leaves(9), leaves(9, of="other")):
        with pytest.raises(WitnessUnusable) as lost:
            ask(witness, asking(row, 0))
        assert lost.value.why == "memory_lost"


def test_of_many_at_once_each_size_is_cosigned_for_one_history(witness: Witness) -> None:
    """Two histories race for the next place: whatever is cosigned is one chain."""
    assert ask(witness, asking(leaves(4), 0)).status == 200
    rows = [leaves(4) + leaves(4, of=f"history {number}") for number in range(8)]
    asked = [asking(row, 4) for row in rows]
    answers: list[int] = []
    start = threading.Barrier(len(rows))

    def run(one: AddCheckpoint) -> None:
        start.wait()
        answers.append(ask(witness, one).status)

    threads = [threading.Thread(target=run, args=(one,)) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] + [409] * 7
    assert len(witness.refusals()) == 7


@pytest.mark.parametrize("name", ["", "with space", "with+plus", "tab\t", "x" * 256])
def test_a_name_that_no_key_can_have_makes_no_witness(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoteRefused):
        witnesses.create(tmp_path / "w", name)
    assert not (tmp_path / "w").exists()


def test_a_witness_is_made_once_and_knows_a_log_once(tmp_path: Path, witness: Witness) -> None:
    with pytest.raises(WitnessUnusable) as there:
        witnesses.create(tmp_path / "w", NAME)
    assert there.value.why == "folder_not_empty"
    with pytest.raises(WitnessUnusable) as known:
        witness.add_log(signer().vkeys)
    assert known.value.why == "log_known"
    with pytest.raises(NoteRefused):
        witness.add_log([signer("a.example/1").vkeys[0], signer("a.example/2").vkeys[0]])
    with pytest.raises(WitnessUnusable):
        Witness(tmp_path / "none")


def test_it_answers_over_http(witness: Witness) -> None:
    served = witness_web.app(witness, clock=lambda: LATER)

    async def calls() -> list[tuple[int, str]]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://w.example/x") as client:
            asked = [
                await client.post("/add-checkpoint", content=bytes(asking(leaves(3), 0))),
                await client.post("/add-checkpoint", content=bytes(asking(leaves(9), 0))),
                await client.post("/add-checkpoint", content=b"x" * 70_000),
                await client.get("/add-checkpoint"),
                await client.post("/"),
            ]
            return [(each.status_code, each.headers["content-type"]) for each in asked]

    plain = "text/plain; charset=utf-8"
    assert asyncio.run(calls()) == [(200, plain), (409, SIZE_TYPE), (413, plain), (405, plain), (404, plain)]


def test_a_body_that_never_comes_is_not_waited_for(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness_web, "BODY_SECONDS", 0.05)
    sent: list[witness_web.Message] = []

    async def receive() -> witness_web.Message:
        await asyncio.sleep(60)
        return {}

    async def send(message: witness_web.Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/add-checkpoint", "method": "POST"}
    asyncio.run(witness_web.app(witness)(scope, receive, send))
    assert sent[0]["status"] == 408


def test_a_fault_is_told_without_a_cosignature(tmp_path: Path, witness: Witness) -> None:
    for file in (tmp_path / "w" / "heads").iterdir():
        file.unlink()

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(witness_web.app(witness))
        async with httpx.AsyncClient(transport=transport, base_url="http://w.example") as client:
            return await client.post("/add-checkpoint", content=bytes(asking(leaves(3), 0)))

    answer = asyncio.run(call())
    assert (answer.status_code, "—" in answer.text) == (500, False)


def test_anybody_can_run_it_in_an_empty_folder(tmp_path: Path) -> None:
    created = command(tmp_path, "create", NAME)
    assert (created.returncode, created.stderr) == (0, "")
    assert command(tmp_path, "keys").stdout == created.stdout
    assert [notes.VerifierKey.parse(line).name for line in created.stdout.split()] == [NAME, NAME]
    added = command(tmp_path, "add-log", *signer().vkeys)
    assert added.stdout == f"The log {ORIGIN} will be cosigned.\n"
    assert command(tmp_path, "status").stdout == f"{ORIGIN}: nothing yet\n"
    again = command(tmp_path, "create", NAME)
    assert (again.returncode, "folder_not_empty" in again.stderr or "not empty" in again.stderr) == (1, True)
    assert "Traceback" not in again.stderr + command(tmp_path, "add-log", "nonsense").stderr
    private = [file for file in (tmp_path / "witness").iterdir() if file.suffix == ".pem"]
    assert len(private) == 2
    assert all(file.stat().st_mode & 0o077 == 0 for file in private)
