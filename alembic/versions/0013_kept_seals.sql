-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. When the seals of a delivery must be renewed to stay good, and the codes that visible seals show.
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

-- ---------------------------------------------------------------- verification codes
-- The code that a visible seal shows, as its hash, and the document it is shown on. Anybody may ask about a code they
-- hold, and is told what the seal tells: who sealed, when, and what the file's hash is.
CREATE TABLE verification_code (
    code_sha256 bytea PRIMARY KEY CHECK (length(code_sha256) = 32),
    delivery_id uuid NOT NULL,
    position smallint NOT NULL,
    organisation_id uuid NOT NULL,
    made_at timestamptz NOT NULL,
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_verification_code_delivery ON verification_code (organisation_id, delivery_id);
ALTER TABLE verification_code ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON verification_code USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]));

CREATE FUNCTION zending_verified(code_hash bytea)
RETURNS TABLE (organisation text, made_at timestamptz, pages integer, sha256 bytea, erased boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$ SELECT o.name, c.made_at, d.pages, d.sha256, d.erased_at IS NOT NULL
   FROM public.verification_code c
   JOIN public.organisation o ON o.id = c.organisation_id
   JOIN public.document d ON d.delivery_id = c.delivery_id AND d.position = c.position
   WHERE c.code_sha256 = code_hash $$;
REVOKE ALL ON FUNCTION zending_verified(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION zending_verified(bytea) TO zending_app;
GRANT SELECT, INSERT ON verification_code TO zending_app;
