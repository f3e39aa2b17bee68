"""A batch that goes letter by letter and that only its print house can open: each letter sealed by itself (age).

Sealed bytes differ each time, so they are made once: the parcel that a batch freezes is a ZIP of them, stored, with
``batch.json`` (what a manifest says of the whole batch, nothing of any letter) and ``letters/{id}-{attempt}.age``. What
is in each is a package as `printing.manifest.pack` makes it, of this one letter: its entry, its PDF, and the digest
that binds the two.
"""

import json
import zipfile
from collections.abc import Sequence
from io import BytesIO

from printing.encryption import ENDING, seal_for
from printing.manifest import Manifest, describe_file, member, pack, read_manifest, schema_for
from printing.providers import parts
from printing.providers.parts import ABOUT, Part


def seal_each(recipients: Sequence[str], package: bytes) -> bytes:
    """A batch's package as a parcel of sealed letters.

    Raises:
        ValueError: as `printing.encryption.check_recipients`.
        ProviderRefused: ``PARCEL_UNREADABLE``, it is no package.
    """
    out = BytesIO()
    manifest = read_manifest(BytesIO(package))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(member(ABOUT), json.dumps(parts.told_of(manifest), sort_keys=True).encode())
        for part in parts.cut(BytesIO(package)):
            archive.writestr(member(part.name + ENDING), seal_for(recipients, _alone(manifest, part)))
    return out.getvalue()


def _alone(whole: Manifest, part: Part) -> bytes:
    """The package of one letter."""
    letter = part.letter
    assert letter is not None
    file = describe_file(letter.file, BytesIO(part.data), (letter,))
    schema = schema_for((letter,))
    own = Manifest(whole.batch, whole.sender, whole.created, whole.key, (file,), (letter,), schema)
    out = BytesIO()
    pack(own, {letter.file: BytesIO(part.data)}, out)
    return out.getvalue()
