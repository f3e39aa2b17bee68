-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Mandates, by which somebody acts for another, and what was done under them.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- ``personal`` is encrypted: number and name of both. ``index_key`` names the index key of both hashes, ``code_key`` that of
-- the code's, which is kept only while the code waits. ``senders`` null: of all. Where a mandate stands follows from its moments.
CREATE TABLE mandate (
    id uuid PRIMARY KEY,
    mandator_hash bytea NOT NULL CHECK (octet_length(mandator_hash) = 32),
    mandatary_hash bytea NOT NULL CHECK (octet_length(mandatary_hash) = 32),
    index_key text NOT NULL,
    personal bytea NOT NULL,
    senders uuid[] CHECK (senders IS NULL OR cardinality(senders) >= 1),
    registered boolean NOT NULL,
    legal_effect boolean NOT NULL,
    last_day date,
    ends_at timestamptz,
    given_at timestamptz NOT NULL,
    accept_before timestamptz NOT NULL,
    accepted_at timestamptz,
    revoked_at timestamptz,
    revoked_by text CHECK (revoked_by IN ('mandator', 'mandatary')),
    code_hash bytea CHECK (octet_length(code_hash) = 32),
    code_key text,
    tries_left smallint NOT NULL CHECK (tries_left >= 0),
    CHECK (mandator_hash <> mandatary_hash),
    CHECK ((last_day IS NULL) = (ends_at IS NULL)),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
    CHECK ((code_hash IS NULL) = (code_key IS NULL)),
    CHECK (accepted_at IS NULL OR code_hash IS NULL)
);
CREATE INDEX ix_mandate_mandator ON mandate (mandator_hash, id DESC);
CREATE INDEX ix_mandate_mandatary ON mandate (mandatary_hash, id DESC);
CREATE INDEX ix_mandate_over ON mandate (least(revoked_at, CASE WHEN accepted_at IS NULL THEN accept_before ELSE ends_at END));

-- Appended, never changed. ``personal`` is encrypted: how who acted was identified.
CREATE TABLE mandate_act (
    id uuid PRIMARY KEY,
    mandate_id uuid NOT NULL REFERENCES mandate,
    act text NOT NULL,
    by_side text NOT NULL CHECK (by_side IN ('mandator', 'mandatary')),
    at timestamptz NOT NULL,
    delivery_id uuid,
    personal bytea NOT NULL
);
CREATE INDEX ix_mandate_act_mandate ON mandate_act (mandate_id, id DESC);
CREATE INDEX ix_mandate_act_delivery ON mandate_act (delivery_id, mandate_id) WHERE delivery_id IS NOT NULL;

-- ---------------------------------------------------------------- the exchange of the index key
-- Both numbers stand in the row, so the walk can write all of them anew; it sees none of them as anybody's own.
CREATE FUNCTION zending_mandates_to_move(key text, after uuid, most integer) RETURNS TABLE (id uuid, personal bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.index_walk w WHERE w.index_key = key) THEN
        RAISE EXCEPTION 'no exchange of the index key is under way';
    END IF;
    RETURN QUERY SELECT m.id, m.personal FROM public.mandate m
        WHERE m.index_key <> key AND (after IS NULL OR m.id > after) ORDER BY m.id LIMIT most;
END $$;

CREATE FUNCTION zending_move_mandate(mandate uuid, mandator bytea, mandatary bytea, key text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.index_walk w WHERE w.index_key = key) THEN
        RAISE EXCEPTION 'no exchange of the index key is under way';
    END IF;
    UPDATE public.mandate m SET mandator_hash = mandator, mandatary_hash = mandatary, index_key = key WHERE m.id = mandate;
END $$;

-- Mandates that need another index key than this one: found by it, or with a code that waits.
CREATE FUNCTION zending_mandates_left(key text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$ SELECT count(*) FROM public.mandate m
   WHERE m.index_key <> key OR (m.code_key <> key AND m.accept_before > now()) $$;

-- ---------------------------------------------------------------- retention
-- Mandates that ended before a moment, with what was done under them; those that nobody ever accepted, from another one on.
CREATE FUNCTION zending_erase_mandates(before timestamptz, unused timestamptz, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    doomed uuid[];
BEGIN
    SELECT array_agg(found.id) INTO doomed FROM (
        SELECT m.id FROM public.mandate m
        WHERE least(m.revoked_at, CASE WHEN m.accepted_at IS NULL THEN m.accept_before ELSE m.ends_at END)
              < CASE WHEN m.accepted_at IS NULL THEN unused ELSE before END
          AND least(m.revoked_at, CASE WHEN m.accepted_at IS NULL THEN m.accept_before ELSE m.ends_at END)
              < greatest(before, unused)
        ORDER BY m.id LIMIT most FOR UPDATE SKIP LOCKED) found;
    IF doomed IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM public.mandate_act t WHERE t.mandate_id = ANY (doomed);
    DELETE FROM public.mandate t WHERE t.id = ANY (doomed);
    RETURN cardinality(doomed);
END $$;

-- ---------------------------------------------------------------- row-level security and privileges
-- A mandate is seen by its two sides only, written by whoever gives it, and its terms are never changed.
ALTER TABLE mandate ENABLE ROW LEVEL SECURITY;
CREATE POLICY sides ON mandate FOR SELECT USING (mandator_hash = ANY ((SELECT zending_recipients())::bytea[])
    OR mandatary_hash = ANY ((SELECT zending_recipients())::bytea[]));
CREATE POLICY given ON mandate FOR INSERT WITH CHECK (mandator_hash = ANY ((SELECT zending_recipients())::bytea[]));
CREATE POLICY changed ON mandate FOR UPDATE USING (mandator_hash = ANY ((SELECT zending_recipients())::bytea[])
    OR mandatary_hash = ANY ((SELECT zending_recipients())::bytea[]));
-- Whoever sees a mandate sees what was done under it.
ALTER TABLE mandate_act ENABLE ROW LEVEL SECURITY;
CREATE POLICY sides ON mandate_act USING (EXISTS (SELECT FROM mandate m WHERE m.id = mandate_id));

GRANT SELECT, INSERT ON mandate, mandate_act TO zending_app;
GRANT UPDATE (accepted_at, revoked_at, revoked_by, code_hash, code_key, tries_left) ON mandate TO zending_app;
REVOKE ALL ON FUNCTION zending_mandates_to_move(text, uuid, integer), zending_move_mandate(uuid, bytea, bytea, text),
    zending_mandates_left(text), zending_erase_mandates(timestamptz, timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION zending_mandates_to_move(text, uuid, integer), zending_move_mandate(uuid, bytea, bytea, text),
    zending_mandates_left(text), zending_erase_mandates(timestamptz, timestamptz, integer) TO zending_app;
