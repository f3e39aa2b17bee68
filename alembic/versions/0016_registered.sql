-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Registered mail in mailboxes: what each delivery is sent under, running periods, the consent to
-- registered mail, and recorded unavailability. The release before this one goes on working on it.

-- The register's entries that an organisation's document types are sent under: {type: {"ordinary": id, "registered": id}}.
ALTER TABLE organisation ADD COLUMN document_types jsonb NOT NULL DEFAULT '{}';
GRANT UPDATE (document_types) ON organisation TO zending_app;
-- What the delivery is sent under, settled at hand-in; empty for what is older than the register.
ALTER TABLE delivery ADD COLUMN terms jsonb NOT NULL DEFAULT '{}', ADD COLUMN effect_event text;
-- A paper leg that goes by registered letter (null: as the delivery says); when the recipient was told, until when they
-- can act, and the event that the legal effect was counted from.
ALTER TABLE leg ADD COLUMN registered boolean, ADD COLUMN noticed_at timestamptz, ADD COLUMN ends_at timestamptz,
    ADD COLUMN effect_event text;

-- Running periods, a row per leg as long as the clock has something to do: a reminder, or the end.
CREATE TABLE term (
    delivery_id uuid NOT NULL,
    leg smallint NOT NULL,
    organisation_id uuid NOT NULL,
    next_at timestamptz NOT NULL,
    handled_at timestamptz NOT NULL,
    PRIMARY KEY (delivery_id, leg),
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_term_next ON term (next_at);
ALTER TABLE term ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON term USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[])
    OR delivery_id = (SELECT zending_delivery()));
GRANT SELECT, INSERT, UPDATE, DELETE ON term TO zending_app;

-- Times in which the service could not be used: they make running periods longer. Appended, never changed.
CREATE TABLE outage (
    id uuid PRIMARY KEY,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until > since),
    reason text NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON outage TO zending_app;

-- Registered mail in the mailbox is consented to apart from ordinary mail.
ALTER TABLE mailbox ADD COLUMN registered_at timestamptz;
-- Which of the two a proof is of.
ALTER TABLE activation ADD COLUMN registered boolean NOT NULL DEFAULT false;
CREATE FUNCTION zending_activated_registered(hashes bytea[]) RETURNS SETOF bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$ SELECT m.recipient_hash FROM public.mailbox m
   WHERE m.recipient_hash = ANY (hashes) AND m.activated_at IS NOT NULL AND m.revoked_at IS NULL
     AND m.registered_at IS NOT NULL $$;
REVOKE ALL ON FUNCTION zending_activated_registered(bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION zending_activated_registered(bytea[]) TO zending_app;

CREATE OR REPLACE FUNCTION zending_move_recipient(old bytea, new bytea, sealed bytea, key text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    there boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM public.index_walk w WHERE w.index_key = key) THEN
        RAISE EXCEPTION 'no exchange of the index key is under way';
    END IF;
    PERFORM FROM public.mailbox m WHERE m.recipient_hash = old FOR UPDATE;
    there := FOUND;
    IF there THEN
        INSERT INTO public.mailbox (recipient_hash, recipient_kind, personal, language, activated_at, revoked_at, index_key,
                                    registered_at)
            SELECT new, m.recipient_kind, sealed, m.language, m.activated_at, m.revoked_at, key, m.registered_at
            FROM public.mailbox m WHERE m.recipient_hash = old
            ON CONFLICT (recipient_hash) DO NOTHING;
        UPDATE public.activation a SET recipient_hash = new WHERE a.recipient_hash = old;
        DELETE FROM public.activation_code c WHERE c.recipient_hash = old;
        DELETE FROM public.mailbox m WHERE m.recipient_hash = old;
    END IF;
    UPDATE public.lookup_recipient l SET recipient_hash = new WHERE l.recipient_hash = old;
    RETURN there;
END $$;
