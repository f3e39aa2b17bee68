-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. When the seals of a delivery must be renewed to stay good.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- One row per delivery whose sealed documents must be given a newer time-stamp before that moment. A code says why the
-- last attempt ended for good: such a row waits for a person.
CREATE TABLE archive (
    delivery_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    renew_at timestamptz NOT NULL,
    failed text,
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_archive_renew ON archive (renew_at);
CREATE INDEX ix_archive_failed ON archive (delivery_id) WHERE failed IS NOT NULL;
ALTER TABLE archive ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON archive USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]));

-- ---------------------------------------------------------------- privileges
GRANT SELECT, INSERT, UPDATE, DELETE ON archive TO zending_app;
