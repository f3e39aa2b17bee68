-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Since when notices do not reach a mailbox's address.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- Until its owner confirms an address again.
ALTER TABLE mailbox ADD COLUMN unreachable_since timestamptz;

-- As before, with the new column.
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
                                    registered_at, unreachable_since)
            SELECT new, m.recipient_kind, sealed, m.language, m.activated_at, m.revoked_at, key, m.registered_at,
                   m.unreachable_since
            FROM public.mailbox m WHERE m.recipient_hash = old
            ON CONFLICT (recipient_hash) DO NOTHING;
        UPDATE public.activation a SET recipient_hash = new WHERE a.recipient_hash = old;
        DELETE FROM public.activation_code c WHERE c.recipient_hash = old;
        DELETE FROM public.mailbox m WHERE m.recipient_hash = old;
    END IF;
    UPDATE public.lookup_recipient l SET recipient_hash = new WHERE l.recipient_hash = old;
    RETURN there;
END $$;
