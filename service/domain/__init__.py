"""The rules of delivery as plain values and functions: no clock, no row, no setting, no framework."""
