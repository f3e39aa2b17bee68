-- SPDX-License-Identifier: EUPL-1.2
-- One batch of generated deliveries, from the temporary table g (n, id, org, at, paper, hash); see generated.py.

INSERT INTO submission (organisation_id, id, mark, lane, created_at) SELECT org, id, 'live', 1, at FROM g;

INSERT INTO delivery (id, organisation_id, submission_id, mark, lane, reference, document_type, language, registered,
    recipient_kind, recipient_hash, personal, policy, state, status, channel, retention_year, created_at,
    updated_at, effective_at)
    SELECT id, org, id, 'live', 1, 'G-' || n, 'decision', 'nl', false, 'citizen', hash, '\x01' || hash || hash || hash, '1', 'sealed',
    CASE WHEN paper THEN 'handed_over' ELSE 'available' END, CASE WHEN paper THEN 'paper' ELSE 'digital' END,
    2037, at, at, at FROM g;

INSERT INTO leg (delivery_id, number, organisation_id, kind, state, since, handed_over_at, effective_at)
    SELECT id, 1, org, CASE WHEN paper THEN 'paper' ELSE 'mailbox' END,
    CASE WHEN paper THEN 'handed_over' ELSE 'available' END, at, CASE WHEN paper THEN at END, at FROM g;

INSERT INTO document (delivery_id, position, organisation_id, role, filename, pages, size, sha256,
    submitted_sha256, path, sealed)
    SELECT id, 0, org, 'main', hash, 2, 40000, hash, hash, id || '/sealed-0/' || n, true FROM g;

INSERT INTO vault_object (subject_id, path, organisation_id, role, sha256, size, intended_at, kept_at)
    SELECT id, id || '/sealed-0/' || n, org, 'sealed-0', hash, 40000, at, at FROM g;

INSERT INTO delivery_event (delivery_id, id, organisation_id, event, at, status, actor)
    SELECT id, gen_random_uuid(), org, event, at, 'sealed', 'service'
    FROM g CROSS JOIN (VALUES ('SubmissionAcceptance'), ('RelayToNonERDS')) AS e(event);

INSERT INTO evidence (delivery_id, id, organisation_id, leg, event, attempt, at, record, salt, leaf_hash)
    SELECT id, md5('e' || 2 * n + part)::uuid, org, part, event, 1, at, '\x01' || hash || hash || hash, hash,
    sha256(('leaf ' || 2 * n + part)::bytea)
    FROM g CROSS JOIN (VALUES (0, 'SubmissionAcceptance'), (1, 'RelayToNonERDS')) AS e(part, event);

INSERT INTO mailbox_item (delivery_id, organisation_id, recipient_hash, leg, deposited_at)
    SELECT id, org, hash, 1, at FROM g WHERE NOT paper;

INSERT INTO print_letter (delivery_id, leg, attempt, organisation_id, product, path, sha256, pages, sheets, grams,
    size, postcode, queued_at, batch_id, sequence)
    SELECT id, 1, 0, org, 'ordinary', id || '/print-1/' || n, hash, 4, 2, 15, 60000, (1000 + n % 9000)::text, at,
    '00000000-0000-7000-8000-000000000001', n FROM g WHERE paper;

INSERT INTO idempotency_key (organisation_id, route, key, fingerprint, subject_id, status, answer, created_at)
    SELECT org, 'POST /v1/deliveries', encode(substr(hash, 1, 16), 'hex'), hash, id, 202, hash || hash, at FROM g;

INSERT INTO ledger_leaf (index, evidence_id, leaf_hash, sequenced_at)
    SELECT 2 * n + part, md5('e' || 2 * n + part)::uuid, sha256(('leaf ' || 2 * n + part)::bytea), at
    FROM g CROSS JOIN (VALUES (0), (1)) AS e(part);

INSERT INTO mailbox (recipient_hash, recipient_kind, personal, language, activated_at)
    SELECT hash, 'citizen', hash, 'nl', at FROM g WHERE n % 5 = 0;

INSERT INTO lookup (id, organisation_id, client_id, purpose, recipients, at)
    SELECT id, org, 'generated', 'delivery', 1, at FROM g WHERE n % 100 = 0;
