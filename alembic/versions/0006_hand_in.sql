-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Hand-in: more recipients, times, and keys of clients.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- Sealed at once, brought from then on; null: as soon as it is sealed.
ALTER TABLE delivery ADD COLUMN send_at timestamptz;

-- Public keys by which a program proves who it is (RFC 7517), without a secret of ours; null: it has none.
ALTER TABLE client ADD COLUMN jwks jsonb;
GRANT UPDATE (jwks) ON client TO zending_app;

-- Assertions that were used, by the hash of client and jti, for as long as they would still be believed. No personal
-- data and no organisation's: it is asked before anybody is known, hence no row-level security.
CREATE TABLE client_assertion (
    id_hash bytea PRIMARY KEY CHECK (octet_length(id_hash) = 32),
    expires_at timestamptz NOT NULL
);
CREATE INDEX ix_client_assertion_expires ON client_assertion (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON client_assertion TO zending_app;
