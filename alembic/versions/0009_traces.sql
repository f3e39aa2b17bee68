-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Where a job comes from, for traces.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- The W3C trace context of the request that queued the work, where that is traced: ids and nothing else.
ALTER TABLE job ADD COLUMN trace text;
