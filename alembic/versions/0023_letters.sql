-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. How letters got their addresses and numbers, from which series, and codes that letters invite with.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- Empty for letters that were composed before: their address stands on a page of its own, and they have no numbers.
ALTER TABLE print_letter ADD COLUMN address_mode text;
ALTER TABLE print_letter ADD COLUMN mail_id text;
ALTER TABLE print_letter ADD COLUMN registered_number text;

-- The next serial of each series of numbers that the post gave us. It only goes forward, so that no number is given
-- twice, whatever ranges are configured and however often they are.
CREATE TABLE print_series (
    series text PRIMARY KEY,
    next bigint NOT NULL CHECK (next >= 0),
    taken_at timestamptz NOT NULL
);
CREATE FUNCTION zending_series_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.next < OLD.next OR NEW.series <> OLD.series THEN
        RAISE EXCEPTION 'a series of numbers only goes forward' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER print_series_forward BEFORE UPDATE ON print_series
    FOR EACH ROW EXECUTE FUNCTION zending_series_forward();
GRANT SELECT, INSERT ON print_series TO zending_app;
GRANT UPDATE (next, taken_at) ON print_series TO zending_app;
GRANT SELECT ON print_series TO zending_readonly;

-- Personal codes on letters, by their digests: with one a recipient shows at the activation that a letter reached them.
CREATE TABLE invitation (
    code_sha256 bytea PRIMARY KEY,
    recipient_hash bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX ix_invitation_recipient ON invitation (recipient_hash);
CREATE INDEX ix_invitation_expires ON invitation (expires_at);
ALTER TABLE invitation ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON invitation USING (recipient_hash = ANY ((SELECT zending_recipients())::bytea[]));
GRANT SELECT, INSERT, DELETE ON invitation TO zending_app;
GRANT UPDATE (used_at) ON invitation TO zending_app;

-- As before, and codes of letters whose time is over.
CREATE OR REPLACE FUNCTION zending_erase_codes(before timestamptz, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    gone integer;
    more integer;
BEGIN
    DELETE FROM public.activation_code t WHERE t.recipient_hash IN (
        SELECT c.recipient_hash FROM public.activation_code c WHERE c.expires_at < before
        ORDER BY c.expires_at LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS gone = ROW_COUNT;
    DELETE FROM public.invitation t WHERE t.code_sha256 IN (
        SELECT i.code_sha256 FROM public.invitation i WHERE i.expires_at < before
        ORDER BY i.expires_at LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS more = ROW_COUNT;
    RETURN gone + more;
END $$;
