"""The ledger: an RFC 6962 Merkle log of evidence, with signed checkpoints and proofs that stand without us."""
