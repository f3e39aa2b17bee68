-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. The exchange of the index key.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- By its name, the index key with which a mailbox is found; null: the one there was before keys had names.
ALTER TABLE mailbox ADD COLUMN index_key text;

-- How far the deliveries were gone through for an index key, so that what was broken off goes on there.
CREATE TABLE index_walk (
    index_key text PRIMARY KEY,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    upto uuid,
    deliveries bigint NOT NULL DEFAULT 0,
    unreadable bigint NOT NULL DEFAULT 0,
    done_at timestamptz
);

-- Moves a recipient from one hash to another, whole: mailbox, proofs and look-ups, which nobody may change otherwise.
-- A mailbox that is there already under the new hash stays; codes, good for minutes, are asked for again.
CREATE FUNCTION zending_move_recipient(old bytea, new bytea, sealed bytea, key text) RETURNS boolean
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
        INSERT INTO public.mailbox (recipient_hash, recipient_kind, personal, language, activated_at, revoked_at, index_key)
            SELECT new, m.recipient_kind, sealed, m.language, m.activated_at, m.revoked_at, key
            FROM public.mailbox m WHERE m.recipient_hash = old
            ON CONFLICT (recipient_hash) DO NOTHING;
        UPDATE public.activation a SET recipient_hash = new WHERE a.recipient_hash = old;
        DELETE FROM public.activation_code c WHERE c.recipient_hash = old;
        DELETE FROM public.mailbox m WHERE m.recipient_hash = old;
    END IF;
    UPDATE public.lookup_recipient l SET recipient_hash = new WHERE l.recipient_hash = old;
    RETURN there;
END $$;

-- Mailboxes that are not found with this index key yet, whoever's they are.
CREATE FUNCTION zending_mailboxes_left(key text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$ SELECT count(*) FROM public.mailbox m WHERE m.index_key IS DISTINCT FROM key $$;

-- ---------------------------------------------------------------- privileges
GRANT SELECT, INSERT, UPDATE ON index_walk TO zending_app;
REVOKE ALL ON FUNCTION zending_move_recipient(bytea, bytea, bytea, text), zending_mailboxes_left(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION zending_move_recipient(bytea, bytea, bytea, text), zending_mailboxes_left(text) TO zending_app;
