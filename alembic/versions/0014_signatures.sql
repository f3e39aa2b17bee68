-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Signature requests, their signers, and the evidence of what each did.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- ``personal`` is encrypted: subject, file name, what is to be delivered afterwards. ``path`` names the document as it is
-- now: as handed in, then with each signature, in the end sealed.
CREATE TABLE signature_request (
    id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisation,
    mark text NOT NULL CHECK (mark IN ('live', 'test')),
    reference text NOT NULL,
    language text NOT NULL,
    sequence text NOT NULL CHECK (sequence IN ('sequence', 'parallel')),
    state text NOT NULL CHECK (state IN
        ('open', 'signed', 'completed', 'refused', 'expired', 'cancelled', 'failed')),
    reason text,
    personal bytea NOT NULL,
    path text NOT NULL,
    role text NOT NULL,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    submitted_sha256 bytea NOT NULL CHECK (octet_length(submitted_sha256) = 32),
    size bigint NOT NULL,
    pages integer NOT NULL CHECK (pages >= 1),
    report_path text,
    report_size bigint,
    remind_days smallint CHECK (remind_days BETWEEN 1 AND 90),
    delivery_id uuid,
    retention_year smallint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    content_erased_at timestamptz,
    UNIQUE (organisation_id, id)
);
CREATE INDEX ix_signature_request_list ON signature_request (organisation_id, id DESC);
CREATE INDEX ix_signature_request_expires ON signature_request (expires_at) WHERE state = 'open';
CREATE INDEX ix_signature_request_ended ON signature_request (ended_at) WHERE content_erased_at IS NULL;
CREATE INDEX ix_signature_request_year ON signature_request (organisation_id, retention_year);

-- ``personal`` (name, number), ``prepared`` (what waits for a signature) and ``outcome`` (certificate, or why not) are
-- encrypted and bound to their row.
CREATE TABLE signature_signer (
    request_id uuid NOT NULL,
    position smallint NOT NULL CHECK (position >= 1),
    organisation_id uuid NOT NULL,
    recipient_hash bytea CHECK (recipient_hash IS NULL OR octet_length(recipient_hash) = 32),
    way text NOT NULL CHECK (way IN ('csc', 'web-eid', 'seal')),
    level text NOT NULL CHECK (level IN ('advanced', 'qualified')),
    state text NOT NULL CHECK (state IN ('waiting', 'asked', 'signed', 'refused', 'released')),
    personal bytea NOT NULL,
    prepared bytea,
    outcome bytea,
    asked_at timestamptz,
    opened_at timestamptz,
    acted_at timestamptz,
    remind_at timestamptz,
    PRIMARY KEY (request_id, position),
    CHECK ((recipient_hash IS NULL) = (way = 'seal')),
    FOREIGN KEY (organisation_id, request_id) REFERENCES signature_request (organisation_id, id)
);
CREATE INDEX ix_signature_signer_recipient ON signature_signer (recipient_hash, request_id DESC)
    WHERE recipient_hash IS NOT NULL;
CREATE INDEX ix_signature_signer_remind ON signature_signer (remind_at) WHERE state = 'asked' AND remind_at IS NOT NULL;

-- What happened, as evidence: appended, never changed; its salted hash goes into the ledger.
CREATE TABLE signature_evidence (
    request_id uuid NOT NULL,
    id uuid NOT NULL,
    organisation_id uuid NOT NULL,
    position smallint NOT NULL DEFAULT 0,
    event text NOT NULL,
    at timestamptz NOT NULL,
    record bytea NOT NULL,
    salt bytea NOT NULL,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    PRIMARY KEY (request_id, id),
    UNIQUE (request_id, position, event),
    FOREIGN KEY (organisation_id, request_id) REFERENCES signature_request (organisation_id, id)
);

-- Everything of these requests whose retention year is over; returns the ids of those that went. As with deliveries, the
-- ledger keeps the salted hashes of their evidence, and their objects are left to the collector.
CREATE FUNCTION zending_erase_signature_requests(ids uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    doomed uuid[];
BEGIN
    SELECT array_agg(found.id) INTO doomed FROM (
        SELECT r.id FROM public.signature_request r
        WHERE r.id = ANY (ids) AND r.ended_at IS NOT NULL
          AND r.retention_year < extract(year FROM public.zending_today())
        ORDER BY r.id FOR UPDATE) found;
    IF doomed IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO public.vault_removal (path, subject_id, organisation_id, since)
        SELECT o.path, o.subject_id, o.organisation_id, now() FROM public.vault_object o WHERE o.subject_id = ANY (doomed)
        ON CONFLICT DO NOTHING;
    DELETE FROM public.signature_evidence t WHERE t.request_id = ANY (doomed);
    DELETE FROM public.signature_signer t WHERE t.request_id = ANY (doomed);
    DELETE FROM public.idempotency_key t WHERE t.subject_id = ANY (doomed)
        AND t.created_at BETWEEN (SELECT min(public.zending_id_time(i)) - interval '2 days' FROM unnest(doomed) i)
                             AND (SELECT max(public.zending_id_time(i)) + interval '2 days' FROM unnest(doomed) i);
    DELETE FROM public.signature_request t WHERE t.id = ANY (doomed);
    RETURN QUERY SELECT unnest(doomed);
END $$;

-- ---------------------------------------------------------------- row-level security and privileges
-- A signer sees their own row; what else they are shown of a request is read for its organisation after that row was found.
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['signature_request', 'signature_signer', 'signature_evidence'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['signature_request', 'signature_evidence'] LOOP
        EXECUTE format('CREATE POLICY tenant ON %I USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]))', name);
    END LOOP;
END $$;
CREATE POLICY tenant ON signature_signer USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]));
CREATE POLICY own ON signature_signer FOR SELECT USING (recipient_hash = ANY ((SELECT zending_recipients())::bytea[]));

GRANT SELECT, INSERT, UPDATE ON signature_request, signature_signer TO zending_app;
GRANT SELECT, INSERT ON signature_evidence TO zending_app;
REVOKE ALL ON FUNCTION zending_erase_signature_requests(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION zending_erase_signature_requests(uuid[]) TO zending_app;
