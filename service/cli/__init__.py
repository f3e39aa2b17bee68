"""The ``zending`` command."""
