-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Runs of a print house, what holds letters back, and letters that are printed again.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

-- What goes to a print house at one cut-off: its letters are sorted together, and cut into batches afterwards. ``planned``
-- letters have a place in the run; ``second`` of them went to the second print house, in a run of its own; ``waiting`` are
-- left for the next one.
CREATE TABLE print_deposit (
    id uuid PRIMARY KEY,
    printer text NOT NULL,
    product text NOT NULL,
    cut_off_at timestamptz,
    planned_at timestamptz NOT NULL,
    planned_on date NOT NULL,
    due_at timestamptz NOT NULL,
    letters integer NOT NULL,
    sheets integer NOT NULL,
    second integer NOT NULL,
    waiting integer NOT NULL,
    closed_at timestamptz,
    actor text NOT NULL
);
CREATE INDEX ix_print_deposit_open ON print_deposit (planned_at) WHERE closed_at IS NULL;
CREATE INDEX ix_print_deposit_day ON print_deposit (printer, product, planned_on);

-- What a print house was told ahead of a cut-off, once for each.
CREATE TABLE print_forecast (
    printer text NOT NULL,
    product text NOT NULL,
    cut_off_at timestamptz NOT NULL,
    told_at timestamptz NOT NULL,
    letters integer NOT NULL,
    sheets integer NOT NULL,
    file_name text NOT NULL,
    PRIMARY KEY (printer, product, cut_off_at)
);

-- Products that an operator holds back: at a cut-off their letters go on waiting.
CREATE TABLE print_hold (
    printer text NOT NULL,
    product text NOT NULL,
    held_at timestamptz NOT NULL,
    held_by text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (printer, product)
);

-- The number of a letter and attempt in the codes on its sheets, never given twice.
CREATE SEQUENCE print_set MAXVALUE 999999999999 NO CYCLE;

-- Empty for letters that were queued before: they have no codes, and are printed without.
ALTER TABLE print_letter ADD COLUMN set_number bigint;
ALTER TABLE print_letter ADD COLUMN deposit_id uuid;
ALTER TABLE print_letter ADD COLUMN run_sequence integer;
ALTER TABLE print_letter ADD COLUMN presort text;
ALTER TABLE print_letter ADD COLUMN postage_cents integer;
ALTER TABLE print_letter ADD COLUMN held_at timestamptz;
ALTER TABLE print_letter ADD COLUMN held_by text;
ALTER TABLE print_letter ADD COLUMN held_reason text;
ALTER TABLE print_letter ADD COLUMN reprint_reason text;

-- ``fixed_at`` is the moment from which a batch's letters can't be taken out any more: committed before anything tells that
-- it was uploaded.
ALTER TABLE print_batch ADD COLUMN deposit_id uuid REFERENCES print_deposit;
ALTER TABLE print_batch ADD COLUMN fixed_at timestamptz;
ALTER TABLE print_batch ADD COLUMN held_at timestamptz;
ALTER TABLE print_batch ADD COLUMN held_by text;
ALTER TABLE print_batch ADD COLUMN held_reason text;
ALTER TABLE print_batch ADD COLUMN emptied_at timestamptz;
CREATE INDEX ix_print_batch_deposit ON print_batch (deposit_id) WHERE deposit_id IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON print_deposit TO zending_app;
GRANT SELECT, INSERT ON print_forecast TO zending_app;
GRANT SELECT, INSERT, DELETE ON print_hold TO zending_app;
GRANT USAGE ON SEQUENCE print_set TO zending_app;
GRANT SELECT ON print_deposit, print_forecast, print_hold TO zending_readonly;
