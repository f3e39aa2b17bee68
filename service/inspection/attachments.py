"""Files inside the PDF: taken out within bounds, and refused when they are programs."""

import io
import lzma
import re
import zipfile
import zlib
from typing import Final

import pikepdf

from service.inspection.active import Survey, survey
from service.inspection.limits import InspectionLimits
from service.inspection.opening import Refused, open_document

_PROGRAM_MARKS: Final = (
    b"MZ",  # Windows and DOS programs, drivers, libraries
    b"\x7fELF",  # Linux
    b"\xfe\xed\xfa\xce",  # Mach-O, both byte orders and word sizes
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",  # Mach-O for several processors; Java classes
    b"#!",  # scripts
    b"L\x00\x00\x00\x01\x14\x02\x00",  # Windows shortcuts
    b"dex\n",  # Android
    b"\x00asm",  # WebAssembly
    b"!<arch>\n",  # Debian packages
    b"\xed\xab\xee\xdb",  # RPM packages
)
_PROGRAM_NAME: Final = re.compile(
    r"\.(?:exe|dll|com|bat|cmd|pif|scr|cpl|msi|msp|msc|sys|ps1|psm1|vb|vbs|vbe|js|jse|mjs|ws|wsf|wsh|hta|lnk|reg|inf"
    r"|url|jar|class|sh|bash|csh|ksh|zsh|run|elf|so|app|command|dmg|pkg|apk|deb|rpm|desktop|py|pyc|pl|rb|php|swf"
    r"|docm|dotm|xlsm|xltm|xlam|pptm|potm|ppam|one)[\s.]*$",
    re.IGNORECASE,
)
_MACROS: Final = re.compile(r"(?:^|/)vbaproject\.bin$", re.IGNORECASE)
_ENCRYPTED_ENTRY: Final = 0x1
_START: Final = 1024
_DEEPEST: Final = 3
_MOST_ENTRIES: Final = 5000


class Attachments:
    """Takes out what is attached to a document, to a PDF attached to that, and so on.

    ``parts`` holds the files' bytes in the order found. What an attached archive holds is judged but not kept: the
    malware scanner opens archives itself.
    """

    def __init__(self, limits: InspectionLimits) -> None:
        self.parts: list[bytes] = []
        self._limits = limits
        self._left = limits.attachment_bytes
        self._entries = 0

    def take(self, found: Survey, depth: int = 0) -> None:
        """Take out and judge the files of one PDF.

        Raises:
            Refused: ``embedded_executable``, ``attachment_unreadable``, ``too_many_attachments``,
                ``too_large_unpacked``, and what `survey` raises for a PDF that is attached.
        """
        for stream, names in found.attached.values():
            if len(self.parts) >= self._limits.attachments:
                raise Refused("too_many_attachments")
            content = self._unpack(stream)
            self._spend(len(content))
            self.parts.append(content)
            self._judge(content, names, depth)

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Refused("too_large_unpacked")

    def _unpack(self, stream: pikepdf.Stream) -> bytes:
        """The bytes of an embedded file; of what is packed, at most one byte more than is still allowed."""
        described = stream.stream_dict
        try:
            if described.get("/Filter") != pikepdf.Name.FlateDecode or "/DecodeParms" in described:
                return stream.read_bytes()
            inflater = zlib.decompressobj()
            content = inflater.decompress(stream.read_raw_bytes(), self._left + 1)
        except (pikepdf.PdfError, pikepdf.DataDecodingError, zlib.error, RuntimeError) as error:
            code = "too_large_unpacked" if "limit" in str(error) else "attachment_unreadable"
            raise Refused(code) from error
        if len(content) <= self._left and not inflater.eof:
            raise Refused("attachment_unreadable")
        return content

    def _judge(self, content: bytes, names: set[str], depth: int) -> None:
        if any(_PROGRAM_NAME.search(name) for name in names) or content.startswith(_PROGRAM_MARKS):
            raise Refused("embedded_executable")
        is_pdf = b"%PDF-" in content[:_START]
        if not is_pdf and not zipfile.is_zipfile(io.BytesIO(content)):
            return
        if depth >= _DEEPEST:
            raise Refused("attachment_unreadable")
        if is_pdf:
            pdf = self._open(content)  # what `survey` finds lives as long as this
            self.take(survey(pdf), depth + 1)
        else:
            self._judge_archive(content, depth + 1)

    def _open(self, content: bytes) -> pikepdf.Pdf:
        try:
            return open_document(content, self._limits).pdf
        except Refused as error:
            raise Refused("attachment_unreadable") from error

    def _judge_archive(self, content: bytes, depth: int) -> None:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for entry in archive.infolist():
                    self._judge_entry(archive, entry, depth)
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            # A way of compressing that is not known here.
            NotImplementedError,
            EOFError,
            ValueError,
            OSError,
        ) as e:
            raise Refused("attachment_unreadable") from e

    def _judge_entry(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, depth: int) -> None:
        if _PROGRAM_NAME.search(entry.filename) is not None or _MACROS.search(entry.filename) is not None:
            raise Refused("embedded_executable")
        if entry.flag_bits & _ENCRYPTED_ENTRY:
            raise Refused("attachment_unreadable")
        self._entries += 1
        if self._entries > _MOST_ENTRIES:
            raise Refused("too_many_attachments")
        with archive.open(entry) as packed:
            content = packed.read(self._left + 1)
        self._spend(len(content))
        self._judge(content, {entry.filename}, depth)
