-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Operations: pauses, holds, acts of operators and their trail.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.
SELECT 1;
