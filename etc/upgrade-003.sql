-- Version 3: abandoned uploads.

ALTER TABLE ferry.upload
	ADD COLUMN initiated boolean NOT NULL DEFAULT true,
	ADD COLUMN host text,
	ADD COLUMN reap_at timestamptz,
	ADD COLUMN reap_error text;
