"""Seal profiles: which key an organisation seals with, where it is, at which level; and the sealers made of them."""
