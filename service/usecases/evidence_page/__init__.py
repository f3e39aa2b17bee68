"""Evidence as a page that people can read and a court can keep: a sealed PDF, made whenever somebody asks for it.

The page says what the evidence record says, in the delivery's language, and carries the record with its proof as an
attachment (``evidence.json``): the page is for reading, the attachment for verifying. It is PDF/A-3a (ISO 19005-3) and
PDF/UA-1 (ISO 14289-1), and nothing of it is kept.
"""

from service.usecases.evidence_page.sealed import sealed_page

__all__ = ["sealed_page"]
