-- Version 16: a row says who inserted it.  Producers see their own tasks, cancel, retry and delete them,
-- ferry.permission limits what they may ask for, and a channel is told when a task ends.
-- Locks: ferry.task, until all its rows have been read twice (a second for about a million of them).
-- Compatible from: 16

-- Rows that exist get '', which is no role.
ALTER TABLE ferry.task ADD COLUMN created_by text NOT NULL DEFAULT '';
ALTER TABLE ferry.task ALTER COLUMN created_by SET DEFAULT current_user;

ALTER TABLE ferry.task ADD COLUMN tags jsonb
	CONSTRAINT tags_object
		CHECK (jsonb_typeof(tags) = 'object' AND octet_length(tags::text) <= 8000);
ALTER TABLE ferry.task ADD COLUMN notify text
	CONSTRAINT notify_channel CHECK (octet_length(notify) BETWEEN 1 AND 63);
CREATE INDEX task_tags ON ferry.task USING gin (tags jsonb_path_ops) WHERE tags IS NOT NULL;

DROP INDEX ferry.task_dedup;
CREATE UNIQUE INDEX task_dedup ON ferry.task_live (dedup_key, created_by)
	WHERE dedup_key IS NOT NULL AND started_at IS NULL;

CREATE TABLE ferry.permission (
	role         text NOT NULL,
	queue        text NOT NULL DEFAULT '*',
	source       text NOT NULL DEFAULT '*',
	destination  text NOT NULL DEFAULT '*',
	PRIMARY KEY (role, queue, source, destination)
);

-- Part 2 of schema.sql gives producers the right to name all columns.  A policy judges the values.
REVOKE INSERT (source, destination, queue, priority, run_at, dedup_key, max_attempts, if_exists,
    expect_size, expect_crc64, content_type, metadata, storage_class)
	ON ferry.task FROM ferry_producer;
REVOKE SELECT ON ferry.lingering FROM ferry_producer;
