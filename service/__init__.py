"""Zending's service: the rules, their data, the doors and the wiring."""
