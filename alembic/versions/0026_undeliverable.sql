-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. What an organisation wants of letters that can't be delivered, where a delivery doesn't say.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

ALTER TABLE organisation ADD COLUMN undeliverable text CHECK (undeliverable IN ('return', 'destroy'));
GRANT UPDATE (undeliverable) ON organisation TO zending_app;
