"""Verification codes: made for what is sealed visibly, looked up by anybody who holds one."""

import hashlib
import secrets

from service.db import verification as rows
from service.db.verification import Found
from service.domain import verification
from service.usecases.context import Context


def new_code() -> str:
    """A code that nobody can guess."""
    return verification.written(secrets.randbits(verification.BITS))


def hash_of(code: str) -> bytes:
    """What is kept of a code. Sixty random bits need no salt."""
    return hashlib.sha256(code.encode("ascii")).digest()


def look_up(context: Context, typed: str) -> Found | None:
    """What is known of a code as somebody typed it; None when nothing is."""
    code = verification.read(typed)
    if code is None:
        return None
    with context.database.transaction() as session:
        return rows.find(session, hash_of(code))
