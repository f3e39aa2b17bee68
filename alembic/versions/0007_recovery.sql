-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Recovery after a restore, and logs that a restore ended.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- ---------------------------------------------------------------- a database that was restored, until a person says so
-- While one is open, nothing goes out: the pauses it began stand, and hand-over and notices look here themselves.
CREATE TABLE recovery (
    id uuid PRIMARY KEY,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    begun_by text NOT NULL,
    reason text NOT NULL,
    pauses uuid[] NOT NULL,
    confirmed_at timestamptz,
    confirmed_by text,
    CONSTRAINT ck_recovery_confirmed CHECK ((confirmed_at IS NULL) = (confirmed_by IS NULL))
);
-- One at a time.
CREATE UNIQUE INDEX ix_recovery_open ON recovery ((confirmed_at IS NULL)) WHERE confirmed_at IS NULL;

-- What receipts in the object store say has gone out, and this database does not know. Ids and times only; a row is
-- about a letter in a batch of many senders, or about a delivery that is in no table any more: hence no organisation
-- and no row-level security.
CREATE TABLE gone_out (
    what text NOT NULL CHECK (what IN ('letter', 'notice')),
    delivery_id uuid NOT NULL,
    leg smallint NOT NULL,
    attempt smallint NOT NULL DEFAULT 0,
    at timestamptz NOT NULL,
    batch_id uuid REFERENCES print_batch,
    sequence integer,
    PRIMARY KEY (what, delivery_id, leg, attempt),
    CONSTRAINT ck_gone_out_letter CHECK ((what = 'letter') = (batch_id IS NOT NULL AND sequence IS NOT NULL))
);
CREATE INDEX ix_gone_out_batch ON gone_out (batch_id) WHERE batch_id IS NOT NULL;

-- ---------------------------------------------------------------- logs before the present one
-- A log that a restore cut short is moved here as a whole, so that its evidence can be proved for ever; the present log
-- begins with a leaf that names the head it follows.
CREATE TABLE ledger_past (
    number smallint PRIMARY KEY CHECK (number >= 1),
    origin text NOT NULL UNIQUE,
    size bigint NOT NULL,
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    signed_size bigint NOT NULL,
    last_note text NOT NULL,
    last_size bigint NOT NULL,
    next_origin text NOT NULL UNIQUE,
    link bytea NOT NULL,
    closed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_ledger_past_cut CHECK (signed_size <= size)
);
CREATE TABLE ledger_past_leaf (
    number smallint NOT NULL REFERENCES ledger_past,
    index bigint NOT NULL,
    evidence_id uuid NOT NULL,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    PRIMARY KEY (number, index)
);
CREATE INDEX ix_ledger_past_leaf_evidence ON ledger_past_leaf (evidence_id);
CREATE TABLE ledger_past_tile (
    number smallint NOT NULL REFERENCES ledger_past,
    level smallint NOT NULL,
    tile bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (number, level, tile)
);
ALTER TABLE ledger_past_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;
CREATE TABLE ledger_past_checkpoint (
    number smallint NOT NULL REFERENCES ledger_past,
    size bigint NOT NULL,
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    note text NOT NULL,
    at timestamptz NOT NULL,
    timestamp_token bytea,
    PRIMARY KEY (number, size)
);

-- ---------------------------------------------------------------- privileges
GRANT SELECT, INSERT ON recovery TO zending_app;
GRANT UPDATE (confirmed_at, confirmed_by) ON recovery TO zending_app;
GRANT SELECT, INSERT ON gone_out TO zending_app;
-- Only the owner closes a log; the application reads what is closed.
GRANT SELECT ON ledger_past, ledger_past_leaf, ledger_past_tile, ledger_past_checkpoint TO zending_app;
GRANT SELECT ON recovery, gone_out, ledger_past, ledger_past_leaf, ledger_past_tile, ledger_past_checkpoint
    TO zending_readonly;
