-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Retention and erasure.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.
SELECT 1;
