-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Webhooks: subscriptions, the messages that wait for them, and how each attempt to bring one went.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower. What happens while it
-- still runs beside this one makes no messages.

-- ``types`` null: all. ``secrets`` is encrypted: the keys to sign with, newest first, each older one with its end. While a
-- receiver fails, ``failures`` counts and nothing is sent before ``rest_until``. A removed one keeps no secret, and is gone
-- once its messages are.
CREATE TABLE webhook (
    id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisation,
    url text NOT NULL,
    types text[],
    description text NOT NULL DEFAULT '',
    secrets bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('active', 'disabled', 'removed')),
    reason text CHECK (reason IN ('by_sender', 'gone', 'failing')),
    state_since timestamptz NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    rest_until timestamptz,
    created_at timestamptz NOT NULL,
    UNIQUE (organisation_id, id)
);

-- One for each subscription and event: the id is the event's, so the same event can't become two. ``next_at`` null: nothing
-- more is tried by itself. ``data`` holds ids, codes and times only.
CREATE TABLE webhook_message (
    webhook_id uuid NOT NULL,
    id uuid NOT NULL,
    organisation_id uuid NOT NULL,
    delivery_id uuid,
    type text NOT NULL,
    at timestamptz NOT NULL,
    data jsonb NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0,
    next_at timestamptz,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (webhook_id, id),
    FOREIGN KEY (organisation_id, webhook_id) REFERENCES webhook (organisation_id, id)
);
CREATE INDEX ix_webhook_message_due ON webhook_message (webhook_id, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX ix_webhook_message_page ON webhook_message (webhook_id, state, id);
CREATE INDEX ix_webhook_message_failed ON webhook_message (webhook_id, written_at) WHERE state = 'failed';
CREATE INDEX ix_webhook_message_old ON webhook_message (written_at);

-- What a receiver answers is not kept: its status code, or the class of what went wrong.
CREATE TABLE webhook_attempt (
    webhook_id uuid NOT NULL,
    message_id uuid NOT NULL,
    number integer NOT NULL,
    organisation_id uuid NOT NULL,
    at timestamptz NOT NULL,
    milliseconds integer NOT NULL,
    status smallint,
    error text,
    PRIMARY KEY (webhook_id, message_id, number),
    FOREIGN KEY (webhook_id, message_id) REFERENCES webhook_message (webhook_id, id) ON DELETE CASCADE
);

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['webhook', 'webhook_message', 'webhook_attempt'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]))', name);
    END LOOP;
END $$;
-- What a recipient does happens within their scope and the one delivery that they entered: its sender's subscriptions are
-- found, and messages about it written, from there too.
CREATE POLICY told ON webhook FOR SELECT
    USING (organisation_id = (SELECT d.organisation_id FROM delivery d WHERE d.id = (SELECT zending_delivery())));
CREATE POLICY told ON webhook_message FOR INSERT
    WITH CHECK (delivery_id = (SELECT zending_delivery()));
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook, webhook_message TO zending_app;
GRANT SELECT, INSERT ON webhook_attempt TO zending_app;
