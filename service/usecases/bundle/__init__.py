"""All that proves one delivery, in one ZIP that is checked without this service.

``made`` gathers what goes in; ``Bundle.stream`` packs it. The programs in it are ``service.ledger.verify``, as it
stands in the tree, and ``check``, which runs it over all evidence of the bundle.
"""

from service.usecases.bundle.made import Bundle, made

__all__ = ["Bundle", "made"]
