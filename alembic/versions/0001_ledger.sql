-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. The ledger: hashes, sizes, signed notes and times; no personal data, no organisation, hence no row-level security.

CREATE TABLE ledger_pending (
    id uuid DEFAULT gen_random_uuid() CONSTRAINT pk_ledger_pending PRIMARY KEY,
    evidence_id uuid NOT NULL CONSTRAINT uq_ledger_pending_evidence_id UNIQUE,
    leaf_hash bytea NOT NULL CONSTRAINT ck_ledger_pending_leaf_hash CHECK (octet_length(leaf_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_ledger_pending_created_at ON ledger_pending (created_at, id);

CREATE TABLE ledger_leaf (
    index bigint CONSTRAINT pk_ledger_leaf PRIMARY KEY CONSTRAINT ck_ledger_leaf_index CHECK (index >= 0),
    evidence_id uuid NOT NULL CONSTRAINT uq_ledger_leaf_evidence_id UNIQUE,
    leaf_hash bytea NOT NULL CONSTRAINT ck_ledger_leaf_leaf_hash CHECK (octet_length(leaf_hash) = 32),
    sequenced_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ledger_tile (
    level smallint CONSTRAINT ck_ledger_tile_level CHECK (level BETWEEN 0 AND 7),
    number bigint,
    width smallint NOT NULL,
    hashes bytea NOT NULL,
    CONSTRAINT pk_ledger_tile PRIMARY KEY (level, number),
    CONSTRAINT ck_ledger_tile_width CHECK (width BETWEEN 1 AND 256 AND octet_length(hashes) = width * 32)
);

CREATE TABLE ledger_head (
    id smallint CONSTRAINT pk_ledger_head PRIMARY KEY CONSTRAINT ck_ledger_head_id CHECK (id = 1),
    size bigint NOT NULL,
    root bytea NOT NULL CONSTRAINT ck_ledger_head_root CHECK (octet_length(root) = 32),
    signed_size bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    log_origin text NOT NULL,
    CONSTRAINT ck_ledger_head_signed_size CHECK (signed_size BETWEEN 0 AND size)
);

CREATE TABLE ledger_checkpoint (
    size bigint CONSTRAINT pk_ledger_checkpoint PRIMARY KEY,
    root bytea NOT NULL CONSTRAINT ck_ledger_checkpoint_root CHECK (octet_length(root) = 32),
    note text NOT NULL,
    at timestamptz NOT NULL,
    timestamp_token bytea
);
CREATE INDEX ix_ledger_checkpoint_stamped ON ledger_checkpoint (size) WHERE timestamp_token IS NOT NULL;

ALTER TABLE ledger_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE FUNCTION ledger_tile_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.level <> OLD.level OR NEW.number <> OLD.number
       OR substring(NEW.hashes FOR octet_length(OLD.hashes)) <> OLD.hashes THEN
        RAISE EXCEPTION 'a tile of the ledger grows at its end only';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_tile_grows BEFORE UPDATE OR DELETE ON ledger_tile
FOR EACH ROW EXECUTE FUNCTION ledger_tile_grows();

CREATE FUNCTION ledger_leaf_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a leaf of the ledger is never changed or removed';
END $$;

CREATE TRIGGER ledger_leaf_stands BEFORE UPDATE OR DELETE ON ledger_leaf
FOR EACH ROW EXECUTE FUNCTION ledger_leaf_stands();

CREATE FUNCTION ledger_head_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.log_origin <> OLD.log_origin OR NEW.size < OLD.size
       OR NEW.signed_size < OLD.signed_size OR (NEW.size = OLD.size AND NEW.root <> OLD.root) THEN
        RAISE EXCEPTION 'the head of the ledger only grows';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_head_grows BEFORE UPDATE OR DELETE ON ledger_head
FOR EACH ROW EXECUTE FUNCTION ledger_head_grows();

CREATE FUNCTION ledger_checkpoint_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.timestamp_token IS NOT NULL
       OR (NEW.size, NEW.root, NEW.note, NEW.at) IS DISTINCT FROM (OLD.size, OLD.root, OLD.note, OLD.at) THEN
        RAISE EXCEPTION 'a checkpoint is never changed; it gets a time-stamp token once';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_checkpoint_stands BEFORE UPDATE OR DELETE ON ledger_checkpoint
FOR EACH ROW EXECUTE FUNCTION ledger_checkpoint_stands();

GRANT SELECT, INSERT, DELETE ON ledger_pending TO zending_app;
GRANT SELECT, INSERT ON ledger_leaf TO zending_app;
GRANT SELECT, INSERT, UPDATE (width, hashes) ON ledger_tile TO zending_app;
GRANT SELECT, INSERT, UPDATE (size, root, signed_size, updated_at) ON ledger_head TO zending_app;
GRANT SELECT, INSERT, UPDATE (timestamp_token) ON ledger_checkpoint TO zending_app;
GRANT SELECT ON ledger_pending, ledger_leaf, ledger_tile, ledger_head, ledger_checkpoint TO zending_readonly;
