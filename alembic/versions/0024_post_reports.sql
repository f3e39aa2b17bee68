-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. What print houses and the post report, and what follows from it.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- What becomes of a letter that came back: its sender is asked for another address, or that is its end.
ALTER TABLE organisation ADD COLUMN returned_mail text NOT NULL DEFAULT 'ask' CHECK (returned_mail IN ('ask', 'end'));
GRANT UPDATE (returned_mail) ON organisation TO zending_app;

-- Each file or call that came from a print house, once: kept before it is removed there, then taken in. It is about letters
-- of many senders: hence no organisation. ``path`` names its bytes in the vault until its period is over.
CREATE TABLE print_inbound (
    id uuid PRIMARY KEY,
    printer text NOT NULL,
    name text NOT NULL,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    size bigint NOT NULL,
    received_at timestamptz NOT NULL,
    path text,
    state text NOT NULL CHECK (state IN ('kept', 'taken', 'refused')),
    kind text,
    batch bigint,
    code text,
    effects jsonb NOT NULL DEFAULT '{}',
    tries smallint NOT NULL DEFAULT 0,
    next_at timestamptz,
    taken_at timestamptz,
    UNIQUE (printer, sha256)
);
CREATE INDEX ix_print_inbound_kept ON print_inbound (received_at) WHERE state = 'kept';
CREATE INDEX ix_print_inbound_content ON print_inbound (taken_at) WHERE path IS NOT NULL AND taken_at IS NOT NULL;

-- What is said of a letter, appended and never changed. ``statement`` is the print house's own name of it, or ours where it
-- has none: the same again is a repeat.
CREATE TABLE print_report (
    printer text NOT NULL,
    statement text NOT NULL,
    organisation_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    leg smallint NOT NULL,
    attempt smallint NOT NULL,
    event text NOT NULL,
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    inbound_id uuid,
    cause text,
    code text,
    sheets integer,
    postage_cents integer,
    registered_number text,
    PRIMARY KEY (printer, statement),
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_print_report_delivery ON print_report (delivery_id, leg);

-- What a print house said of a batch's file as a whole; ``settled`` is ours: every letter of it was posted or has its end.
CREATE TABLE print_batch_report (
    batch_id uuid NOT NULL REFERENCES print_batch,
    event text NOT NULL CHECK (event IN ('acknowledged', 'deleted', 'settled')),
    file text NOT NULL,
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    inbound_id uuid,
    sha256 text,
    letters integer,
    sheets integer,
    agrees boolean NOT NULL,
    PRIMARY KEY (batch_id, event, file)
);

-- What does not fit and changes nothing: an operator looks at it. Ids and words only.
CREATE TABLE print_exception (
    id uuid PRIMARY KEY,
    printer text NOT NULL,
    statement text NOT NULL,
    code text NOT NULL,
    letter text,
    batch bigint,
    detail text NOT NULL,
    at timestamptz NOT NULL,
    inbound_id uuid,
    seen_by text,
    seen_at timestamptz,
    UNIQUE (printer, code, statement),
    CHECK ((seen_by IS NULL) = (seen_at IS NULL))
);
CREATE INDEX ix_print_exception_open ON print_exception (at) WHERE seen_at IS NULL;

-- Pictures of posting proofs, receipts and returned letters; the bytes lie in the vault under the delivery.
CREATE TABLE print_scan (
    id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    leg smallint NOT NULL,
    attempt smallint NOT NULL,
    what text NOT NULL CHECK (what IN ('posting_proof', 'return_receipt', 'returned_letter')),
    media_type text NOT NULL,
    path text NOT NULL,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    size bigint NOT NULL,
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    UNIQUE (delivery_id, leg, what, sha256),
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery (organisation_id, id) ON DELETE CASCADE
);

-- A letter that came back, once however often it was scanned, and what was decided on it.
CREATE TABLE print_return (
    delivery_id uuid NOT NULL,
    leg smallint NOT NULL,
    organisation_id uuid NOT NULL,
    cause text,
    returned_at timestamptz NOT NULL,
    decision text NOT NULL CHECK (decision IN ('asked', 'ended', 'sent_again')),
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL,
    next_leg smallint,
    PRIMARY KEY (delivery_id, leg),
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery (organisation_id, id) ON DELETE CASCADE
);

-- Lists of letters that must not go out any more, and the letters on them.
CREATE TABLE print_pull (
    id uuid PRIMARY KEY,
    batch_id uuid NOT NULL REFERENCES print_batch,
    number integer NOT NULL CHECK (number >= 1),
    printer text NOT NULL,
    reason text NOT NULL,
    ordered_by text NOT NULL,
    ordered_at timestamptz NOT NULL,
    sent_at timestamptz,
    answered_at timestamptz,
    UNIQUE (batch_id, number)
);
CREATE INDEX ix_print_pull_open ON print_pull (ordered_at) WHERE answered_at IS NULL;
CREATE TABLE print_pull_letter (
    pull_id uuid NOT NULL REFERENCES print_pull,
    organisation_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    leg smallint NOT NULL,
    attempt smallint NOT NULL,
    pulled boolean,
    code text,
    PRIMARY KEY (pull_id, delivery_id, leg, attempt),
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_print_pull_letter_delivery ON print_pull_letter (delivery_id);

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['print_report', 'print_scan', 'print_return', 'print_pull_letter'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[])
            OR delivery_id = ANY ((SELECT ARRAY[zending_delivery()])::uuid[]))', name);
    END LOOP;
END $$;
GRANT SELECT, INSERT ON print_report, print_batch_report, print_scan TO zending_app;
GRANT SELECT, INSERT, UPDATE ON print_inbound, print_return, print_pull, print_pull_letter TO zending_app;
GRANT SELECT, INSERT, UPDATE (seen_by, seen_at) ON print_exception TO zending_app;
GRANT SELECT ON print_inbound, print_batch_report, print_exception, print_pull TO zending_readonly;
