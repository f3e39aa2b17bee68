-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. The first schema: tenancy, deliveries, engine, evidence, mailboxes, print, sessions.

-- ---------------------------------------------------------------- whose rows a transaction may see
-- Set per transaction (set_config(..., true)); unset means: none. Kept in functions so that every policy says the same.
CREATE FUNCTION zending_organisations() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT string_to_array(nullif(current_setting('zending.organisations', true), ''), ',')::uuid[] $$;

CREATE FUNCTION zending_recipients() RETURNS bytea[] LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT array_agg(decode(hex, 'hex'))
   FROM unnest(string_to_array(nullif(current_setting('zending.recipients', true), ''), ',')) AS hex $$;

CREATE FUNCTION zending_delivery() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT nullif(current_setting('zending.delivery', true), '')::uuid $$;

-- ---------------------------------------------------------------- organisations and who acts for them
CREATE TABLE organisation (
    id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('enterprise', 'administration', 'platform')),
    number text,
    mark text NOT NULL DEFAULT 'live' CHECK (mark IN ('live', 'test')),
    seal_profile text NOT NULL,
    return_address jsonb NOT NULL DEFAULT '[]',
    contact text NOT NULL DEFAULT '',
    retention_years smallint NOT NULL DEFAULT 10,
    lookup_quota bigint NOT NULL DEFAULT 100000,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- What belongs to nobody's organisation: print batches, mailboxes. It never sends.
INSERT INTO organisation (id, slug, name, kind, seal_profile)
VALUES ('00000000-0000-0000-0000-000000000000', 'platform', 'Platform', 'platform', 'platform');

CREATE TABLE client (
    client_id text PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisation,
    name text NOT NULL,
    secret_hash text NOT NULL,
    scopes text[] NOT NULL,
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A person of an organisation, by what the identity provider calls them: never by a number.
CREATE TABLE staff (
    organisation_id uuid NOT NULL REFERENCES organisation,
    issuer text NOT NULL,
    subject text NOT NULL,
    role text NOT NULL CHECK (role IN ('clerk', 'operator')),
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject, organisation_id, role)
);

-- ---------------------------------------------------------------- deliveries; every table that grows with them is
-- partitioned by the month in the delivery's UUIDv7
CREATE TABLE submission (
    organisation_id uuid NOT NULL REFERENCES organisation,
    id uuid NOT NULL,
    mark text NOT NULL CHECK (mark IN ('live', 'test')),
    lane smallint NOT NULL CHECK (lane IN (0, 1)),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id),
    UNIQUE (organisation_id, id)
) PARTITION BY RANGE (id);

CREATE TABLE delivery (
    id uuid NOT NULL,
    organisation_id uuid NOT NULL,
    submission_id uuid NOT NULL,
    mark text NOT NULL CHECK (mark IN ('live', 'test')),
    lane smallint NOT NULL CHECK (lane IN (0, 1)),
    reference text NOT NULL,
    document_type text NOT NULL,
    language text NOT NULL,
    registered boolean NOT NULL,
    recipient_kind text NOT NULL CHECK (recipient_kind IN ('citizen', 'enterprise', 'administration', 'postal')),
    recipient_hash bytea CHECK (recipient_hash IS NULL OR octet_length(recipient_hash) = 32),
    personal bytea NOT NULL,
    print_options jsonb NOT NULL DEFAULT '{}',
    policy text NOT NULL,
    state text NOT NULL CHECK (state IN ('received', 'sealed', 'rejected', 'cancelled')),
    status text NOT NULL,
    channel text CHECK (channel IN ('digital', 'paper')),
    reason text,
    problems jsonb NOT NULL DEFAULT '[]',
    retention_year smallint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    effective_at timestamptz,
    PRIMARY KEY (id),
    UNIQUE (organisation_id, id),
    FOREIGN KEY (organisation_id, submission_id) REFERENCES submission (organisation_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX ix_delivery_list ON delivery (organisation_id, id DESC);
CREATE INDEX ix_delivery_reference ON delivery (organisation_id, reference);
CREATE INDEX ix_delivery_status ON delivery (organisation_id, status, id DESC);

CREATE TABLE leg (
    delivery_id uuid NOT NULL,
    number smallint NOT NULL CHECK (number >= 1),
    organisation_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('mailbox', 'paper')),
    state text NOT NULL,
    reason text,
    since timestamptz NOT NULL,
    handed_over_at timestamptz,
    effective_at timestamptz,
    PRIMARY KEY (delivery_id, number),
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery (organisation_id, id)
) PARTITION BY RANGE (delivery_id);

CREATE TABLE document (
    delivery_id uuid NOT NULL,
    position smallint NOT NULL CHECK (position >= 0),
    organisation_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('main', 'attachment')),
    filename bytea NOT NULL,
    pages integer NOT NULL CHECK (pages >= 1),
    size bigint NOT NULL,
    sha256 bytea NOT NULL,
    submitted_sha256 bytea NOT NULL,
    path text NOT NULL,
    sealed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (delivery_id, position),
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery (organisation_id, id)
) PARTITION BY RANGE (delivery_id);

-- The intent to write an object, committed before the object; kept_at is set in the transaction that makes it count.
-- The subject is a delivery, or a print batch: hence no foreign key.
CREATE TABLE vault_object (
    subject_id uuid NOT NULL,
    path text NOT NULL,
    organisation_id uuid NOT NULL,
    role text NOT NULL,
    sha256 bytea NOT NULL,
    size bigint NOT NULL,
    intended_at timestamptz NOT NULL DEFAULT now(),
    kept_at timestamptz,
    PRIMARY KEY (subject_id, path)
) PARTITION BY RANGE (subject_id);
CREATE INDEX ix_vault_object_orphan ON vault_object (intended_at) WHERE kept_at IS NULL;

CREATE TABLE delivery_event (
    delivery_id uuid NOT NULL,
    id uuid NOT NULL,
    organisation_id uuid NOT NULL,
    event text NOT NULL,
    at timestamptz NOT NULL,
    status text NOT NULL,
    channel text,
    actor text NOT NULL,
    reason text,
    PRIMARY KEY (delivery_id, id),
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery (organisation_id, id)
) PARTITION BY RANGE (delivery_id);

CREATE TABLE evidence (
    delivery_id uuid NOT NULL,
    id uuid NOT NULL,
    organisation_id uuid NOT NULL,
    leg smallint NOT NULL,
    event text NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL,
    record bytea NOT NULL,
    salt bytea NOT NULL,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    PRIMARY KEY (delivery_id, id),
    UNIQUE (delivery_id, leg, event, attempt),
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery (organisation_id, id)
) PARTITION BY RANGE (delivery_id);

-- ---------------------------------------------------------------- mailboxes
CREATE TABLE mailbox (
    recipient_hash bytea PRIMARY KEY CHECK (octet_length(recipient_hash) = 32),
    recipient_kind text NOT NULL CHECK (recipient_kind IN ('citizen', 'enterprise', 'administration')),
    personal bytea NOT NULL,
    language text NOT NULL,
    activated_at timestamptz,
    revoked_at timestamptz
);

-- Proof of each consent and revocation; appended, never changed.
CREATE TABLE activation (
    id uuid PRIMARY KEY,
    recipient_hash bytea NOT NULL REFERENCES mailbox,
    act text NOT NULL CHECK (act IN ('activated', 'revoked')),
    at timestamptz NOT NULL,
    proof bytea NOT NULL
);
CREATE INDEX ix_activation_recipient ON activation (recipient_hash, at);

CREATE TABLE activation_code (
    recipient_hash bytea PRIMARY KEY CHECK (octet_length(recipient_hash) = 32),
    personal bytea NOT NULL,
    code_hash bytea NOT NULL,
    attempts_left smallint NOT NULL,
    expires_at timestamptz NOT NULL,
    sent_at timestamptz NOT NULL
);

CREATE TABLE mailbox_item (
    delivery_id uuid NOT NULL,
    organisation_id uuid NOT NULL,
    recipient_hash bytea NOT NULL CHECK (octet_length(recipient_hash) = 32),
    leg smallint NOT NULL,
    deposited_at timestamptz,
    opened_at timestamptz,
    withdrawn_at timestamptz,
    PRIMARY KEY (delivery_id),
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery (organisation_id, id)
) PARTITION BY RANGE (delivery_id);
CREATE INDEX ix_mailbox_item_list ON mailbox_item (recipient_hash, delivery_id DESC);

CREATE TABLE lookup (
    id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisation,
    client_id text NOT NULL,
    purpose text NOT NULL,
    recipients integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_lookup_quota ON lookup (organisation_id, at);
CREATE TABLE lookup_recipient (
    recipient_hash bytea NOT NULL,
    lookup_id uuid NOT NULL REFERENCES lookup,
    organisation_id uuid NOT NULL,
    PRIMARY KEY (recipient_hash, lookup_id)
);

-- The only way for a sender's transaction to learn who is activated: yes or no, nothing else of the row.
CREATE FUNCTION zending_activated(hashes bytea[]) RETURNS SETOF bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$ SELECT m.recipient_hash FROM public.mailbox m
   WHERE m.recipient_hash = ANY (hashes) AND m.activated_at IS NOT NULL AND m.revoked_at IS NULL $$;

-- ---------------------------------------------------------------- print
CREATE SEQUENCE print_batch_number;
CREATE TABLE print_batch (
    id uuid PRIMARY KEY,
    number bigint NOT NULL UNIQUE,
    provider text NOT NULL,
    product jsonb NOT NULL,
    state text NOT NULL CHECK (state IN ('frozen', 'uploaded', 'handed_over')),
    file_name text NOT NULL UNIQUE,
    frozen_at timestamptz NOT NULL,
    path text,
    sha256 bytea,
    size bigint,
    letters integer NOT NULL,
    pages integer,
    sheets integer,
    uploaded_at timestamptz,
    handed_over_at timestamptz
);

CREATE TABLE print_letter (
    delivery_id uuid NOT NULL,
    leg smallint NOT NULL,
    attempt smallint NOT NULL DEFAULT 0,
    organisation_id uuid NOT NULL,
    product text NOT NULL,
    path text NOT NULL,
    sha256 bytea NOT NULL,
    pages integer NOT NULL,
    sheets integer NOT NULL,
    grams integer NOT NULL,
    size bigint NOT NULL,
    postcode text NOT NULL,
    queued_at timestamptz NOT NULL,
    batch_id uuid REFERENCES print_batch,
    sequence integer,
    PRIMARY KEY (delivery_id, leg, attempt),
    UNIQUE (delivery_id, batch_id, sequence),
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery (organisation_id, id)
) PARTITION BY RANGE (delivery_id);
CREATE INDEX ix_print_letter_queued ON print_letter (product, postcode, delivery_id) WHERE batch_id IS NULL;
CREATE INDEX ix_print_letter_batch ON print_letter (batch_id, sequence) WHERE batch_id IS NOT NULL;

-- When the next batch of a provider is frozen; moved on in the transaction that froze it.
CREATE TABLE print_cutoff (
    provider text PRIMARY KEY,
    next_at timestamptz NOT NULL
);

-- ---------------------------------------------------------------- engine
CREATE TABLE job (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    organisation_id uuid NOT NULL REFERENCES organisation,
    lane smallint NOT NULL CHECK (lane IN (0, 1)),
    subject_id uuid NOT NULL,
    leg smallint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    fence bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    suspect boolean NOT NULL DEFAULT false,
    last_error text,
    parked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, subject_id, leg)
);
CREATE INDEX ix_job_due ON job (kind, lane, organisation_id, due_at) WHERE parked_at IS NULL AND NOT suspect;
CREATE INDEX ix_job_suspect ON job (kind, lane, due_at) WHERE parked_at IS NULL AND suspect;
CREATE INDEX ix_job_parked ON job (parked_at) WHERE parked_at IS NOT NULL;
ALTER TABLE job SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0, fillfactor = 70);

CREATE TABLE pause (
    id uuid PRIMARY KEY,
    organisation_id uuid REFERENCES organisation,
    kind text,
    since timestamptz NOT NULL DEFAULT now(),
    reason text NOT NULL,
    CHECK (organisation_id IS NOT NULL OR kind IS NOT NULL)
);

CREATE TABLE idempotency_key (
    organisation_id uuid NOT NULL REFERENCES organisation,
    route text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    lease_until timestamptz,
    fence bigint NOT NULL DEFAULT 1,
    subject_id uuid,
    status smallint,
    answer bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organisation_id, route, key)
);

-- ---------------------------------------------------------------- people's sessions
CREATE TABLE web_session (
    id_hash bytea PRIMARY KEY CHECK (octet_length(id_hash) = 32),
    data bytea NOT NULL,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ix_web_session_expires ON web_session (expires_at);

-- ---------------------------------------------------------------- partitions: one a month, and one for what no month holds
CREATE FUNCTION zending_month_floor(month date) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT (lpad(to_hex((extract(epoch FROM month) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid $$;

CREATE FUNCTION zending_make_partitions(first date, months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    parent text;
    month date;
    made integer := 0;
BEGIN
    IF months < 1 OR months > 60 THEN
        RAISE EXCEPTION 'between 1 and 60 months at a time';
    END IF;
    -- Two that come at once would make the same table twice.
    PERFORM pg_advisory_xact_lock(2053467748, 10);
    FOREACH parent IN ARRAY ARRAY['submission', 'delivery', 'leg', 'document', 'vault_object', 'delivery_event',
                                  'evidence', 'mailbox_item', 'print_letter'] LOOP
        FOR i IN 0 .. months - 1 LOOP
            month := (date_trunc('month', first) + make_interval(months => i))::date;
            IF to_regclass(format('public.%I', parent || to_char(month, '_YYYYMM'))) IS NULL THEN
                BEGIN
                    EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)',
                        parent || to_char(month, '_YYYYMM'), parent, public.zending_month_floor(month),
                        public.zending_month_floor((month + interval '1 month')::date));
                    made := made + 1;
                EXCEPTION WHEN check_violation THEN
                    -- Rows of that month lie in the default partition, from a clock that was wrong. They stay there,
                    -- the month's others join them, and the months after it are made all the same.
                    RAISE WARNING 'no partition for month % of %: the default one has rows of it', month, parent;
                END;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;

CREATE TABLE submission_other PARTITION OF submission DEFAULT;
CREATE TABLE delivery_other PARTITION OF delivery DEFAULT;
CREATE TABLE leg_other PARTITION OF leg DEFAULT;
CREATE TABLE document_other PARTITION OF document DEFAULT;
CREATE TABLE vault_object_other PARTITION OF vault_object DEFAULT;
CREATE TABLE delivery_event_other PARTITION OF delivery_event DEFAULT;
CREATE TABLE evidence_other PARTITION OF evidence DEFAULT;
CREATE TABLE mailbox_item_other PARTITION OF mailbox_item DEFAULT;
CREATE TABLE print_letter_other PARTITION OF print_letter DEFAULT;

-- ---------------------------------------------------------------- row-level security
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['submission', 'lookup', 'lookup_recipient', 'vault_object', 'idempotency_key'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]))', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['leg', 'document', 'delivery_event', 'evidence', 'print_letter'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[])
            OR delivery_id = (SELECT zending_delivery()))', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['mailbox', 'activation', 'activation_code'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I USING (recipient_hash = ANY ((SELECT zending_recipients())::bytea[]))', name);
    END LOOP;
END $$;
ALTER TABLE delivery ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON delivery USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[])
    OR id = (SELECT zending_delivery()));
ALTER TABLE mailbox_item ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON mailbox_item USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[])
    OR delivery_id = (SELECT zending_delivery()) OR recipient_hash = ANY ((SELECT zending_recipients())::bytea[]));

-- ---------------------------------------------------------------- privileges
GRANT USAGE ON SCHEMA public TO zending_app, zending_readonly;
GRANT SELECT ON organisation, client, staff TO zending_app;
GRANT INSERT ON organisation, client, staff TO zending_app;
GRANT UPDATE (name, return_address, contact, seal_profile, lookup_quota) ON organisation TO zending_app;
GRANT UPDATE (secret_hash, scopes, active) ON client TO zending_app;
GRANT UPDATE (active) ON staff TO zending_app;
GRANT SELECT, INSERT ON submission TO zending_app;
GRANT SELECT, INSERT, UPDATE ON delivery, leg, document, mailbox, mailbox_item, print_batch, print_cutoff TO zending_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON print_letter TO zending_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON vault_object, activation_code, job, pause, idempotency_key, web_session TO zending_app;
-- What happened is appended, never changed.
GRANT SELECT, INSERT ON delivery_event, evidence, activation, lookup, lookup_recipient TO zending_app;
GRANT USAGE ON SEQUENCE print_batch_number TO zending_app;
REVOKE ALL ON FUNCTION zending_make_partitions(date, integer), zending_activated(bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION zending_make_partitions(date, integer), zending_activated(bytea[]) TO zending_app;
-- For people who look after the service: counts and queues, nothing encrypted, nothing that identifies.
GRANT SELECT ON job, pause, print_batch, print_cutoff, organisation TO zending_readonly;

SELECT zending_make_partitions((date_trunc('month', now()) - interval '1 month')::date, 14);
