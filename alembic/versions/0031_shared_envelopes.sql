-- SPDX-License-Identifier: EUPL-1.2
-- Step: expand. Letters of one sender to one addressee may share an envelope, where the sender allows it.
-- The release before this one goes on working on it: nothing is dropped, renamed or made narrower.

ALTER TABLE organisation ADD COLUMN share_envelopes boolean NOT NULL DEFAULT false;
GRANT UPDATE (share_envelopes) ON organisation TO zending_app;

-- A keyed hash of all that letters in one envelope have in common, sender and addressee among it; only of letters that may
-- share one, and only until their batch is cut. ``envelope_set`` is the number in the codes of all sheets of an envelope
-- that several letters share: that of its first. ``envelope_product`` is the batch key by which a letter is cut where the
-- envelope makes it another than the letter's own.
ALTER TABLE print_letter ADD COLUMN share_key bytea;
ALTER TABLE print_letter ADD COLUMN envelope_set bigint;
ALTER TABLE print_letter ADD COLUMN envelope_product text;

-- What the codes on the sheets of a letter say that went out before a restore, by its receipt.
ALTER TABLE gone_out ADD COLUMN set_number bigint;
