-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. A batch says where it was brought: a print house's way may be another by the time it is looked for there.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- Scheme, host and folder, without who we are there; null where nobody wrote it down.
ALTER TABLE print_batch ADD COLUMN place text;
