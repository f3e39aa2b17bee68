"""The program of inspection: what `forking` runs to look at the PDFs that are handed in."""

import io
import sys
from collections.abc import Callable

import msgspec
import pikepdf

from service.inspection import opening
from service.inspection.examine import examine
from service.inspection.findings import Answer, encode
from service.inspection.forking import serve
from service.inspection.limits import InspectionLimits

Examine = Callable[[bytes, InspectionLimits], Answer]


def _warm_up(work: Examine, limits: InspectionLimits) -> bytes:
    """Read a document the way a child will, so that nothing is left to be loaded behind the walls; return it."""
    pdf = pikepdf.new()
    pdf.add_blank_page()
    pdf.attachments["note.txt"] = b"text"
    out = io.BytesIO()
    pdf.save(out)
    whole = out.getvalue()
    for document in (whole, whole[:-40], b"no document"):
        encode(work(document, limits))
    return whole


def main(arguments: list[str], work: Examine = examine) -> None:
    """Run the helper; `arguments` are those of `forking.serve`."""
    limits = msgspec.json.decode(arguments[0], type=InspectionLimits)
    opening.bound_decoders(limits)
    document = _warm_up(work, limits)
    serve(arguments, limits, lambda pdf: encode(work(pdf, limits)), document)


if __name__ == "__main__":
    main(sys.argv[1:])
