-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. How much of the interactive lane programs have used.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- How many deliveries of an organisation's programs went into the interactive lane in that minute; under the platform's
-- own number, those of all organisations together.
CREATE TABLE lane_use (
    organisation_id uuid PRIMARY KEY REFERENCES organisation,
    minute timestamptz NOT NULL,
    deliveries integer NOT NULL CHECK (deliveries >= 0)
) WITH (fillfactor = 50);
ALTER TABLE lane_use ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON lane_use USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]));

-- Null: the default counts. Nought: this organisation's programs never get into it.
ALTER TABLE organisation_limit ADD COLUMN interactive_per_minute integer;

-- ---------------------------------------------------------------- privileges
GRANT SELECT, INSERT ON lane_use TO zending_app;
GRANT UPDATE (minute, deliveries) ON lane_use TO zending_app;
GRANT UPDATE (interactive_per_minute) ON organisation_limit TO zending_app;
