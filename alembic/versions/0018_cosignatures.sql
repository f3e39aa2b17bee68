-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. What witnesses signed under the ledger's checkpoints: names and signatures of outside parties, nothing personal.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

CREATE TABLE ledger_cosignature (
    key text NOT NULL,
    size bigint NOT NULL CONSTRAINT fk_ledger_cosignature_size REFERENCES ledger_checkpoint,
    line text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT pk_ledger_cosignature PRIMARY KEY (key, size)
);
CREATE INDEX ix_ledger_cosignature_size ON ledger_cosignature (size);

CREATE FUNCTION ledger_cosignature_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a cosignature under the ledger is never changed or removed';
END $$;

CREATE TRIGGER ledger_cosignature_stands BEFORE UPDATE OR DELETE ON ledger_cosignature
FOR EACH ROW EXECUTE FUNCTION ledger_cosignature_stands();

GRANT SELECT, INSERT ON ledger_cosignature TO zending_app;
GRANT SELECT ON ledger_cosignature TO zending_readonly;
