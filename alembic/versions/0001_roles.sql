-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Three roles: the owner that runs this, the application, and people who look after the service.
-- Where they exist already (made with a password by whoever runs the database) they stay as they are.
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['zending_app', 'zending_readonly'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- Another migration on the same server was a moment faster.
            END;
        END IF;
        -- Whoever logs in as the owner works as the application role all the same.
        IF NOT pg_has_role(current_user, name, 'MEMBER') THEN
            BEGIN
                EXECUTE format('GRANT %I TO current_user', name);
            EXCEPTION WHEN insufficient_privilege THEN
                NULL;  -- Whoever made the role kept it; then the application must log in as it.
            END;
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname IN ('zending_app', 'zending_readonly')
               AND (rolsuper OR rolbypassrls OR rolcreaterole)) THEN
        RAISE EXCEPTION 'the roles zending_app and zending_readonly must not be superuser, CREATEROLE or BYPASSRLS';
    END IF;
END $$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
