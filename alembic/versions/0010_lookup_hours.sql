-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. What organisations looked up, summed by the hour.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- How many recipients an organisation asked about in an hour; two days are kept, and nobody stands in it. The database
-- itself counts, so that what the release before notes is in it, and so that the application can lower no sum.
CREATE TABLE lookup_hour (
    organisation_id uuid NOT NULL REFERENCES organisation,
    hour timestamptz NOT NULL,
    recipients bigint NOT NULL CHECK (recipients >= 0),
    PRIMARY KEY (organisation_id, hour)
) WITH (fillfactor = 50);
ALTER TABLE lookup_hour ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON lookup_hour USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[]));

-- Whether its sums have what was noted before this step; see zending_sum_lookups.
ALTER TABLE organisation ADD COLUMN lookups_summed boolean NOT NULL DEFAULT false;

CREATE FUNCTION zending_count_lookup() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    its_hour CONSTANT timestamptz := date_trunc('hour', NEW.at, 'UTC');
BEGIN
    UPDATE public.lookup_hour h SET recipients = h.recipients + NEW.recipients
        WHERE h.organisation_id = NEW.organisation_id AND h.hour = its_hour;
    IF NOT FOUND THEN
        INSERT INTO public.lookup_hour AS h (organisation_id, hour, recipients)
            VALUES (NEW.organisation_id, its_hour, NEW.recipients)
            ON CONFLICT (organisation_id, hour) DO UPDATE SET recipients = h.recipients + excluded.recipients;
        -- The first of an hour tidies up.
        DELETE FROM public.lookup_hour h
            WHERE h.organisation_id = NEW.organisation_id AND h.hour < its_hour - interval '2 days';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER lookup_counts AFTER INSERT ON lookup FOR EACH ROW EXECUTE FUNCTION zending_count_lookup();

-- Sums an organisation's hours anew from what it noted. Whoever calls holds the lock that all its look-ups take: then
-- nothing is noted meanwhile, and doing it once more gives the same. An organisation is so filled in by its first
-- look-up, and no step and no round goes through all of them.
CREATE FUNCTION zending_sum_lookups(organisation uuid, since timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO public.lookup_hour (organisation_id, hour, recipients)
        SELECT organisation, date_trunc('hour', l.at, 'UTC'), sum(l.recipients) FROM public.lookup l
        WHERE l.organisation_id = organisation AND l.at >= date_trunc('hour', since, 'UTC')
        GROUP BY 2
        ON CONFLICT (organisation_id, hour) DO UPDATE SET recipients = excluded.recipients;
    UPDATE public.organisation o SET lookups_summed = true WHERE o.id = organisation;
END $$;

-- ---------------------------------------------------------------- privileges
GRANT SELECT ON lookup_hour TO zending_app;
REVOKE ALL ON FUNCTION zending_count_lookup(), zending_sum_lookups(uuid, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION zending_sum_lookups(uuid, timestamptz) TO zending_app;
