-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Several documents in a signature request; renewal, holds and a period of their own for requests.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- The documents of a request behind its first one, which stands with the request. ``filename`` is encrypted. ``beside``
-- is the path of the first document as of the same act: whoever changes one changes all.
CREATE TABLE signature_document (
    request_id uuid NOT NULL,
    position smallint NOT NULL CHECK (position >= 1),
    organisation_id uuid NOT NULL,
    filename bytea NOT NULL,
    path text NOT NULL,
    role text NOT NULL,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    submitted_sha256 bytea NOT NULL CHECK (octet_length(submitted_sha256) = 32),
    size bigint NOT NULL,
    pages integer NOT NULL CHECK (pages >= 1),
    beside text NOT NULL,
    PRIMARY KEY (request_id, position),
    FOREIGN KEY (organisation_id, request_id) REFERENCES signature_request (organisation_id, id)
);
ALTER TABLE signature_document ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON signature_document USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]));

-- The release before this one knows the first document only. Were it to sign or seal that one alone, while both are
-- running, the others would lack a signature that everybody believes is there: its transaction fails instead.
CREATE FUNCTION zending_signed_together() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM public.signature_document d JOIN public.signature_request r ON r.id = d.request_id
               WHERE d.request_id = NEW.id AND d.beside <> r.path) THEN
        RAISE EXCEPTION 'the documents of a signature request change together' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER signature_request_together AFTER UPDATE OF path ON signature_request
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION zending_signed_together();

-- When the signatures and seals of a completed request must be renewed to stay good, as ``archive`` says of deliveries.
CREATE TABLE signature_renewal (
    request_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    renew_at timestamptz NOT NULL,
    failed text,
    FOREIGN KEY (organisation_id, request_id) REFERENCES signature_request (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_signature_renewal_at ON signature_renewal (renew_at);
CREATE INDEX ix_signature_renewal_failed ON signature_renewal (request_id) WHERE failed IS NOT NULL;
ALTER TABLE signature_renewal ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON signature_renewal USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]));

-- A request that is kept whatever its periods say, as ``legal_hold`` says of deliveries; and how long an organisation's
-- results are kept, where it isn't as long as is set for all.
CREATE TABLE signature_hold (
    id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    request_id uuid NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 3 AND 200),
    begun_by text NOT NULL,
    begun_at timestamptz NOT NULL,
    ended_by text,
    ended_at timestamptz,
    CHECK ((ended_by IS NULL) = (ended_at IS NULL))
);
CREATE UNIQUE INDEX uq_signature_hold_open ON signature_hold (request_id) WHERE ended_at IS NULL;
CREATE INDEX ix_signature_hold_request ON signature_hold (request_id);
ALTER TABLE signature_hold ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON signature_hold USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]));
ALTER TABLE retention_rule ADD COLUMN signature_days integer CHECK (signature_days BETWEEN 1 AND 36600);

-- Everything of these requests whose retention year is over and that nobody holds, with the documents behind the first.
CREATE OR REPLACE FUNCTION zending_erase_signature_requests(ids uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    doomed uuid[];
BEGIN
    SELECT array_agg(found.id) INTO doomed FROM (
        SELECT r.id FROM public.signature_request r
        WHERE r.id = ANY (ids) AND r.ended_at IS NOT NULL
          AND r.retention_year < extract(year FROM public.zending_today())
          AND NOT EXISTS (SELECT FROM public.signature_hold h WHERE h.request_id = r.id AND h.ended_at IS NULL)
        ORDER BY r.id FOR UPDATE) found;
    IF doomed IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO public.vault_removal (path, subject_id, organisation_id, since)
        SELECT o.path, o.subject_id, o.organisation_id, now() FROM public.vault_object o WHERE o.subject_id = ANY (doomed)
        ON CONFLICT DO NOTHING;
    DELETE FROM public.signature_evidence t WHERE t.request_id = ANY (doomed);
    DELETE FROM public.signature_signer t WHERE t.request_id = ANY (doomed);
    DELETE FROM public.signature_document t WHERE t.request_id = ANY (doomed);
    DELETE FROM public.signature_hold t WHERE t.request_id = ANY (doomed);
    DELETE FROM public.idempotency_key t WHERE t.subject_id = ANY (doomed)
        AND t.created_at BETWEEN (SELECT min(public.zending_id_time(i)) - interval '2 days' FROM unnest(doomed) i)
                             AND (SELECT max(public.zending_id_time(i)) + interval '2 days' FROM unnest(doomed) i);
    DELETE FROM public.signature_request t WHERE t.id = ANY (doomed);
    RETURN QUERY SELECT unnest(doomed);
END $$;

GRANT SELECT, INSERT, UPDATE ON signature_document TO zending_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON signature_renewal TO zending_app;
GRANT SELECT, INSERT, UPDATE (ended_by, ended_at) ON signature_hold TO zending_app;
