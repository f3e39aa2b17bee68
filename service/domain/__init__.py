"""The rules: values and pure functions; no clock, no row, no setting. Time comes in with what happened."""
