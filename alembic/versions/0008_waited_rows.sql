-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. The same rows as before are seen, by policies in another form.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- A policy that compares the column by which a table is parted with a sub-select lets PostgreSQL leave out partitions
-- while a statement runs. PostgreSQL 18 does that wrongly for a row that was waited for, where a parameter left out
-- partitions before: the row is lost to the statement, a lock finds nothing and a change changes nothing. An array that
-- is compared with leaves out none.
DO $$
DECLARE
    name text;
    chosen CONSTANT text := 'ANY ((SELECT ARRAY[zending_delivery()])::uuid[])';
BEGIN
    FOREACH name IN ARRAY ARRAY['leg', 'document', 'delivery_event', 'evidence', 'print_letter'] LOOP
        EXECUTE format('ALTER POLICY tenant ON %I USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[])
            OR delivery_id = %s)', name, chosen);
    END LOOP;
    EXECUTE format('ALTER POLICY tenant ON delivery USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[])
        OR id = %s)', chosen);
    EXECUTE format('ALTER POLICY tenant ON mailbox_item USING (organisation_id = ANY ((SELECT zending_organisations())::uuid[])
        OR delivery_id = %s OR recipient_hash = ANY ((SELECT zending_recipients())::bytea[]))', chosen);
END $$;
