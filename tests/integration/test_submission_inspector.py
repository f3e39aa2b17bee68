"""Workers keep no inspection helper until a submission needs one, and then one for all documents."""

import os
from pathlib import Path

from service.embedded.program import descendants
from service.inspection.inspector import LateInspector
from tests.api_support import application
from tests.submission_support import PDF


def test_the_helper_comes_with_the_first_document_and_goes_with_the_process(tmp_path: Path) -> None:
    before = set(descendants(os.getpid()))
    with application(tmp_path) as wired:
        late = wired.context.inspector
        assert isinstance(late, LateInspector)
        assert set(descendants(os.getpid())) == before
        assert late.inspect(PDF).pages >= 1
        first = set(descendants(os.getpid())) - before
        assert first
        late.inspect(PDF)
        assert first <= set(descendants(os.getpid())), "the same helper goes on"
    assert not first & set(descendants(os.getpid()))
