-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Limits and quotas per organisation.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- What differs from the defaults for an organisation; null: the default counts.
CREATE TABLE organisation_limit (
    organisation_id uuid PRIMARY KEY REFERENCES organisation,
    requests_per_second integer CHECK (requests_per_second BETWEEN 1 AND 100000),
    burst integer CHECK (burst BETWEEN 1 AND 1000000),
    daily_deliveries bigint CHECK (daily_deliveries >= 0),
    daily_bytes bigint CHECK (daily_bytes >= 0),
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- What an organisation has handed in on a day (Brussels). A connection counts in a slot of its own, so that no two
-- hand-ins wait for one another's commit; the day's use is the sum.
CREATE TABLE quota_use (
    organisation_id uuid NOT NULL REFERENCES organisation,
    day date NOT NULL,
    slot smallint NOT NULL CHECK (slot BETWEEN 0 AND 15),
    deliveries bigint NOT NULL CHECK (deliveries >= 0),
    bytes bigint NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (organisation_id, day, slot)
) WITH (fillfactor = 50);

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['organisation_limit', 'quota_use'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]))', name);
    END LOOP;
END $$;

-- ---------------------------------------------------------------- privileges
GRANT SELECT, INSERT ON organisation_limit, quota_use TO zending_app;
GRANT UPDATE (requests_per_second, burst, daily_deliveries, daily_bytes, changed_at) ON organisation_limit TO zending_app;
GRANT UPDATE (deliveries, bytes), DELETE ON quota_use TO zending_app;
