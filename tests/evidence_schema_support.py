"""The published schema of evidence as a judge."""

from typing import Final

from jsonschema import Draft202012Validator

from service.domain.evidence_schema import schema

VALIDATOR: Final = Draft202012Validator(schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
