-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Operations: pauses, holds, acts of operators and their trail.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- ---------------------------------------------------------------- pauses of a submission, a channel or a provider
-- Such a pause can't be seen from a job row. It stands under the kind 'on_lease', which no job has, so that leasing,
-- also that of the release before, passes it over; whoever leased a job looks whether it falls under one, and holds it.
ALTER TABLE pause
    ADD COLUMN submission_id uuid,
    ADD COLUMN channel text,
    ADD COLUMN provider text,
    ADD COLUMN actor text,
    ADD CONSTRAINT ck_pause_on_lease CHECK (
        (kind IS NOT DISTINCT FROM 'on_lease') = (num_nonnulls(submission_id, channel, provider) > 0)),
    ADD CONSTRAINT ck_pause_channel CHECK (channel IN ('digital', 'paper'));

-- held_by: the pause that a job waits for; its due_at then lies in the year 9999, which keeps it out of every lease.
-- wanted_at: when it was first to be done; tries and leases never move it, so lateness is counted from it.
ALTER TABLE job
    ADD COLUMN held_by uuid,
    ADD COLUMN wanted_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX ix_job_held ON job (held_by) WHERE held_by IS NOT NULL;
CREATE INDEX ix_job_age ON job (kind, lane, organisation_id, wanted_at) WHERE parked_at IS NULL AND held_by IS NULL;
CREATE INDEX ix_job_trouble ON job (last_error) WHERE last_error IS NOT NULL AND parked_at IS NULL;

-- ---------------------------------------------------------------- the trail: who did what, appended and never changed
CREATE TABLE audit_entry (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL CHECK (actor ~ '^[A-Za-z0-9:._-]{1,128}$'),
    act text NOT NULL CHECK (act ~ '^[a-z_.]{1,64}$'),
    subject text NOT NULL CHECK (length(subject) <= 200),
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ix_audit_entry_subject ON audit_entry (subject, id);

CREATE FUNCTION audit_entry_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an entry of the audit trail is never changed or removed';
END $$;
CREATE TRIGGER audit_entry_stands BEFORE UPDATE OR DELETE ON audit_entry
FOR EACH ROW EXECUTE FUNCTION audit_entry_stands();
CREATE TRIGGER audit_entry_stays BEFORE TRUNCATE ON audit_entry
FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_stands();

-- ---------------------------------------------------------------- the end of a parked job: one proposes, another confirms
CREATE TABLE end_proposal (
    id uuid PRIMARY KEY,
    job_id uuid NOT NULL,
    parked_at timestamptz NOT NULL,
    reason text NOT NULL,
    proposed_by text NOT NULL,
    proposed_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    confirmed_by text,
    confirmed_at timestamptz,
    CONSTRAINT ck_end_proposal_two_persons CHECK (confirmed_by <> proposed_by),
    CONSTRAINT ck_end_proposal_confirmed CHECK ((confirmed_by IS NULL) = (confirmed_at IS NULL)),
    CONSTRAINT ck_end_proposal_in_time CHECK (confirmed_at <= expires_at)
);
CREATE INDEX ix_end_proposal_job ON end_proposal (job_id, proposed_at);

-- ---------------------------------------------------------------- signs of life, and what workers have done
CREATE TABLE heartbeat (
    role text NOT NULL CHECK (role IN ('api', 'worker', 'scheduler')),
    host text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    report jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (role, host)
);

-- Sums that only grow: jobs by what became of them, chunks by how long they took (the last bucket holds all of them).
CREATE TABLE step_tally (
    host text NOT NULL,
    kind text NOT NULL,
    done bigint NOT NULL DEFAULT 0,
    ended bigint NOT NULL DEFAULT 0,
    postponed bigint NOT NULL DEFAULT 0,
    parked bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    lost bigint NOT NULL DEFAULT 0,
    seconds double precision NOT NULL DEFAULT 0,
    chunks bigint[] NOT NULL,
    PRIMARY KEY (host, kind)
);

-- ---------------------------------------------------------------- what alarms ask about, found without a search
CREATE INDEX ix_delivery_event_bounced ON delivery_event (at)
    WHERE event IN ('ConsignmentNotificationFailure', 'NotificationForAcceptanceFailure');
CREATE INDEX ix_print_batch_open ON print_batch (frozen_at) WHERE state <> 'handed_over';

-- ---------------------------------------------------------------- privileges
GRANT SELECT, INSERT ON audit_entry TO zending_app;
GRANT SELECT, INSERT ON end_proposal TO zending_app;
GRANT UPDATE (confirmed_by, confirmed_at) ON end_proposal TO zending_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON heartbeat TO zending_app;
GRANT SELECT, INSERT, UPDATE ON step_tally TO zending_app;
GRANT SELECT ON audit_entry, end_proposal, heartbeat, step_tally TO zending_readonly;
