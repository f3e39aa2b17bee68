-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. The logo that an organisation's address pages show.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

ALTER TABLE organisation ADD COLUMN logo bytea CHECK (octet_length(logo) <= 1048576);
ALTER TABLE organisation ADD COLUMN logo_sha256 bytea CHECK (octet_length(logo_sha256) = 32);
GRANT UPDATE (logo, logo_sha256) ON organisation TO zending_app;
