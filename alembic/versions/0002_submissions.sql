-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Submissions as objects: state, parts, rows, report.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- ---------------------------------------------------------------- what a submission is, besides its id
-- A row that the release before writes, or a hand-in of one letter, is a submission that is done.
ALTER TABLE submission
    ADD COLUMN state text NOT NULL DEFAULT 'done' CHECK (state IN
        ('uploading', 'checking', 'checked', 'running', 'paused', 'done', 'stopped', 'refused')),
    ADD COLUMN paused_from text CHECK (paused_from IN ('checking', 'checked', 'running', 'done')),
    ADD COLUMN pause_id uuid,
    ADD COLUMN name text,
    ADD COLUMN dry_run boolean NOT NULL DEFAULT false,
    ADD COLUMN on_error text NOT NULL DEFAULT 'stop' CHECK (on_error IN ('stop', 'continue')),
    ADD COLUMN release text NOT NULL DEFAULT 'auto' CHECK (release IN ('auto', 'manual')),
    ADD COLUMN send_at timestamptz,
    ADD COLUMN container boolean NOT NULL DEFAULT false,
    ADD COLUMN retention_year smallint,
    ADD COLUMN announced_size bigint CHECK (announced_size > 0),
    ADD COLUMN announced_sha256 bytea CHECK (octet_length(announced_sha256) = 32),
    ADD COLUMN received bigint NOT NULL DEFAULT 0 CHECK (received >= 0),
    ADD COLUMN parts integer NOT NULL DEFAULT 0,
    ADD COLUMN sha256 bytea CHECK (octet_length(sha256) = 32),
    ADD COLUMN fingerprint bytea CHECK (octet_length(fingerprint) = 32),
    ADD COLUMN list_offset bigint NOT NULL DEFAULT 0,
    ADD COLUMN rows_read integer NOT NULL DEFAULT 0,
    -- How many rows are in which state, changed together with them: a list of submissions counts nothing.
    ADD COLUMN counts jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN problems jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN updated_at timestamptz,
    ADD COLUMN completed_at timestamptz,
    ADD COLUMN ended_at timestamptz,
    ADD COLUMN content_erased_at timestamptz;
CREATE INDEX ix_submission_list ON submission (organisation_id, id DESC) WHERE container;
CREATE INDEX ix_submission_content ON submission (organisation_id, fingerprint) WHERE fingerprint IS NOT NULL;
CREATE INDEX ix_submission_open ON submission (updated_at) WHERE container AND content_erased_at IS NULL;

-- ---------------------------------------------------------------- the uploaded file, in pieces in the vault
-- ``at`` is where in the file a part begins; parts follow one another without a gap.
CREATE TABLE submission_part (
    submission_id uuid NOT NULL,
    at bigint NOT NULL CHECK (at >= 0),
    organisation_id uuid NOT NULL,
    size integer NOT NULL CHECK (size > 0),
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    path text NOT NULL,
    PRIMARY KEY (submission_id, at),
    FOREIGN KEY (organisation_id, submission_id) REFERENCES submission (organisation_id, id)
) PARTITION BY RANGE (submission_id);

-- ---------------------------------------------------------------- one row per line of the list
-- ``content`` is encrypted; it goes as soon as the row has become a delivery, or never can.
CREATE TABLE submission_row (
    submission_id uuid NOT NULL,
    number integer NOT NULL CHECK (number >= 1),
    organisation_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('listed', 'good', 'bad', 'admitted', 'cancelled', 'stopped')),
    reference text,
    errors jsonb NOT NULL DEFAULT '[]',
    content bytea,
    delivery_id uuid,
    PRIMARY KEY (submission_id, number),
    CHECK ((state IN ('admitted', 'cancelled')) = (delivery_id IS NOT NULL)),
    FOREIGN KEY (organisation_id, submission_id) REFERENCES submission (organisation_id, id)
) PARTITION BY RANGE (submission_id);
CREATE INDEX ix_submission_row_state ON submission_row (submission_id, state, number);
CREATE INDEX ix_submission_row_reference ON submission_row (submission_id, reference) WHERE reference IS NOT NULL;

CREATE TABLE submission_part_other PARTITION OF submission_part DEFAULT;
CREATE TABLE submission_row_other PARTITION OF submission_row DEFAULT;

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['submission_part', 'submission_row'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]))', name);
    END LOOP;
END $$;

-- As in the first schema, with the two new tables.
CREATE OR REPLACE FUNCTION zending_make_partitions(first date, months integer) RETURNS integer
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
                                  'evidence', 'mailbox_item', 'print_letter', 'submission_part', 'submission_row'] LOOP
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

GRANT UPDATE ON submission TO zending_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON submission_part, submission_row TO zending_app;

SELECT zending_make_partitions((date_trunc('month', now()) - interval '1 month')::date, 14);
