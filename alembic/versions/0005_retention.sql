-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Retention and erasure.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- ---------------------------------------------------------------- what is due, as rows: the cost follows what is due, not what is kept
-- Periods that differ from the settings: for all of an organisation (document_type ''), or for one document type.
CREATE TABLE retention_rule (
    organisation_id uuid NOT NULL REFERENCES organisation,
    document_type text NOT NULL DEFAULT '',
    print_days integer CHECK (print_days BETWEEN 1 AND 36600),
    content_days integer CHECK (content_days BETWEEN 1 AND 36600),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organisation_id, document_type)
);

-- How far a period has been walked along the deliveries of an organisation, whose ids sort by time.
CREATE TABLE retention_walk (
    organisation_id uuid NOT NULL REFERENCES organisation,
    document_type text NOT NULL,
    stage text NOT NULL CHECK (stage IN ('original', 'print', 'content')),
    position uuid NOT NULL,
    next_at timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, document_type, stage)
);
CREATE INDEX ix_retention_walk_next ON retention_walk (next_at);

-- Deliveries that could not be dealt with when the walk came by: not at their end yet, or held.
CREATE TABLE retention_later (
    delivery_id uuid NOT NULL,
    stage text NOT NULL CHECK (stage IN ('original', 'print', 'content', 'evidence')),
    organisation_id uuid NOT NULL REFERENCES organisation,
    retention_year smallint NOT NULL,
    cause text NOT NULL CHECK (cause IN ('ended', 'held', 'unfinished')),
    due_at timestamptz NOT NULL,
    PRIMARY KEY (delivery_id, stage)
);
CREATE INDEX ix_retention_later_due ON retention_later (due_at);
CREATE INDEX ix_retention_later_year ON retention_later (organisation_id, retention_year);

-- Which deliveries an organisation's retention year spans, and how far its end has come.
CREATE TABLE retention_year (
    organisation_id uuid NOT NULL REFERENCES organisation,
    year smallint NOT NULL,
    first_id uuid NOT NULL,
    last_id uuid NOT NULL,
    position uuid NOT NULL,
    rows_gone_at timestamptz,
    key_destroyed_at timestamptz,
    PRIMARY KEY (organisation_id, year)
);
CREATE INDEX ix_retention_year_open ON retention_year (year) WHERE key_destroyed_at IS NULL;

-- A delivery that must be kept whatever its periods say, for example while it is before a court.
CREATE TABLE legal_hold (
    id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 3 AND 200),
    begun_by text NOT NULL,
    begun_at timestamptz NOT NULL,
    ended_by text,
    ended_at timestamptz,
    CHECK ((ended_by IS NULL) = (ended_at IS NULL))
);
CREATE UNIQUE INDEX uq_legal_hold_open ON legal_hold (delivery_id) WHERE ended_at IS NULL;
CREATE INDEX ix_legal_hold_delivery ON legal_hold (delivery_id);

-- Objects that no row names any more; the collector removes them once no restore can need them.
CREATE TABLE vault_removal (
    path text PRIMARY KEY,
    subject_id uuid NOT NULL,
    organisation_id uuid NOT NULL REFERENCES organisation,
    since timestamptz NOT NULL
);
CREATE INDEX ix_vault_removal_since ON vault_removal (since);

ALTER TABLE document ADD COLUMN erased_at timestamptz;

CREATE INDEX ix_print_batch_content ON print_batch (handed_over_at) WHERE path IS NOT NULL;
CREATE INDEX ix_mailbox_revoked ON mailbox (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX ix_activation_code_expires ON activation_code (expires_at);
CREATE INDEX ix_lookup_at ON lookup (at);
CREATE INDEX ix_lookup_recipient_lookup ON lookup_recipient (lookup_id);
-- Kept as long as the delivery: found by its time, without a second index entry for each hand-in.
CREATE INDEX ix_idempotency_key_created ON idempotency_key USING brin (created_at);

-- ---------------------------------------------------------------- what the application may erase, and what not
-- The application appends evidence and can't remove it. These functions can, and look for themselves whether they may.
CREATE FUNCTION zending_today() RETURNS date LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS
$$ SELECT (now() AT TIME ZONE 'Europe/Brussels')::date $$;

CREATE FUNCTION zending_id_time(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS
$$ SELECT to_timestamp(('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0) $$;

-- Everything of these deliveries whose retention year is over and that nobody holds; returns the ids of those that went.
-- The ledger keeps the salted hashes of their evidence. Their objects are left to the collector. What stays of a
-- submission is an id, an organisation and a time: to find out that nothing names it would cost a look at every delivery.
CREATE FUNCTION zending_erase_deliveries(ids uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    doomed uuid[];
    together uuid[];
BEGIN
    SELECT array_agg(found.id), array_agg(DISTINCT found.submission_id) INTO doomed, together FROM (
        SELECT d.id, d.submission_id FROM public.delivery d
        WHERE d.id = ANY (ids) AND d.retention_year < extract(year FROM public.zending_today())
          AND NOT EXISTS (SELECT FROM public.legal_hold h WHERE h.delivery_id = d.id AND h.ended_at IS NULL)
        ORDER BY d.id FOR UPDATE) found;
    IF doomed IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO public.vault_removal (path, subject_id, organisation_id, since)
        SELECT o.path, o.subject_id, o.organisation_id, now() FROM public.vault_object o WHERE o.subject_id = ANY (doomed)
        ON CONFLICT DO NOTHING;
    DELETE FROM public.print_letter t WHERE t.delivery_id = ANY (doomed);
    DELETE FROM public.mailbox_item t WHERE t.delivery_id = ANY (doomed);
    DELETE FROM public.evidence t WHERE t.delivery_id = ANY (doomed);
    DELETE FROM public.delivery_event t WHERE t.delivery_id = ANY (doomed);
    DELETE FROM public.document t WHERE t.delivery_id = ANY (doomed);
    DELETE FROM public.leg t WHERE t.delivery_id = ANY (doomed);
    DELETE FROM public.legal_hold t WHERE t.delivery_id = ANY (doomed);
    DELETE FROM public.retention_later t WHERE t.delivery_id = ANY (doomed);
    DELETE FROM public.idempotency_key t WHERE t.subject_id = ANY (doomed || together)
        AND t.created_at BETWEEN (SELECT min(public.zending_id_time(i)) - interval '2 days' FROM unnest(doomed || together) i)
                             AND (SELECT max(public.zending_id_time(i)) + interval '2 days' FROM unnest(doomed || together) i);
    DELETE FROM public.delivery t WHERE t.id = ANY (doomed);
    RETURN QUERY SELECT unnest(doomed);
END $$;

-- Mailboxes that were given up before that moment, with the proofs of their consents; how many.
CREATE FUNCTION zending_erase_mailboxes(before timestamptz, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    doomed bytea[];
BEGIN
    SELECT array_agg(found.recipient_hash) INTO doomed FROM (
        SELECT m.recipient_hash FROM public.mailbox m WHERE m.revoked_at < before
        ORDER BY m.revoked_at LIMIT most FOR UPDATE SKIP LOCKED) found;
    IF doomed IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM public.activation_code t WHERE t.recipient_hash = ANY (doomed);
    DELETE FROM public.activation t WHERE t.recipient_hash = ANY (doomed);
    DELETE FROM public.mailbox t WHERE t.recipient_hash = ANY (doomed);
    RETURN cardinality(doomed);
END $$;

-- Codes whose time is over: the address they were sent to was never confirmed.
CREATE FUNCTION zending_erase_codes(before timestamptz, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    gone integer;
BEGIN
    DELETE FROM public.activation_code t WHERE t.recipient_hash IN (
        SELECT c.recipient_hash FROM public.activation_code c WHERE c.expires_at < before
        ORDER BY c.expires_at LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

-- Look-ups before that moment, with whom they asked about: the citizen's access log ends with them.
CREATE FUNCTION zending_erase_lookups(before timestamptz, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    doomed uuid[];
BEGIN
    SELECT array_agg(found.id) INTO doomed FROM (
        SELECT l.id FROM public.lookup l WHERE l.at < before ORDER BY l.at LIMIT most FOR UPDATE SKIP LOCKED) found;
    IF doomed IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM public.lookup_recipient t WHERE t.lookup_id = ANY (doomed);
    DELETE FROM public.lookup t WHERE t.id = ANY (doomed);
    RETURN cardinality(doomed);
END $$;

-- ---------------------------------------------------------------- row-level security and privileges
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['retention_rule', 'retention_walk', 'retention_later', 'retention_year', 'legal_hold',
                                'vault_removal'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]))', name);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON retention_rule, retention_walk, retention_later, vault_removal TO zending_app;
GRANT SELECT, INSERT, UPDATE ON retention_year TO zending_app;
GRANT SELECT, INSERT, UPDATE (ended_by, ended_at) ON legal_hold TO zending_app;
REVOKE ALL ON FUNCTION zending_erase_deliveries(uuid[]), zending_erase_mailboxes(timestamptz, integer),
    zending_erase_codes(timestamptz, integer), zending_erase_lookups(timestamptz, integer), zending_today() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION zending_erase_deliveries(uuid[]), zending_erase_mailboxes(timestamptz, integer),
    zending_erase_codes(timestamptz, integer), zending_erase_lookups(timestamptz, integer) TO zending_app;
