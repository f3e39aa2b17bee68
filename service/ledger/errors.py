"""What can be wrong with the ledger, its notes, its proofs and its keys."""

from collections.abc import Mapping

from service.domain.errors import Invalid, Retryable, ZendingError


class NoteRefused(Invalid):
    """A signed note is malformed, or no trusted key (or a failing one) stands under it."""

    code = "ledger_note_refused"


class ProofRefused(Invalid):
    """A Merkle proof or proof file is malformed or does not show what it should."""

    code = "ledger_proof_refused"


class EntryRefused(Invalid):
    """A record, salt or event key cannot become a ledger entry."""

    code = "ledger_entry_refused"


class LedgerStopped(ZendingError):
    """The log cannot go on until an operator has acted; ``why`` tells the cases of one code apart."""

    code = "ledger_stopped"

    def __init__(self, detail: str, *, why: str, context: Mapping[str, str] | None = None) -> None:
        super().__init__(detail, context={**(context or {}), "why": why})
        self.why = why


class LedgerForked(LedgerStopped):
    """The database and what was signed before do not belong to one log: nothing may be signed."""

    code = "ledger_forked"


class LedgerNotOpened(LedgerStopped):
    """The log has no head row yet, or another log lives in this database."""

    code = "ledger_not_opened"


class LedgerKeysRefused(LedgerStopped):
    """The log's private keys are missing, of the wrong kind or readable by everybody."""

    code = "ledger_keys_refused"


class LedgerDiffers(ZendingError):
    """Something that the ledger rests on is not what it must be; the sentence names it by numbers and ids."""

    code = "ledger_differs"


class WitnessUnusable(LedgerStopped):
    """A witness's folder is not one, or has lost what it must remember."""

    code = "witness_unusable"


class WitnessContradicts(LedgerStopped):
    """A witness has seen another log than the one in this database, or says so."""

    code = "witness_contradicts"


class WitnessAnswerRefused(Retryable):
    """What a witness answered is no cosignature of ours; only cosignatures wait."""

    code = "witness_answer_refused"


class LedgerRaced(Retryable):
    """Another sequencer moved the head first; nothing is lost, the rows are taken next time."""

    code = "ledger_raced"
