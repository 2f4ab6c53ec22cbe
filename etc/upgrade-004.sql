-- Version 4: the queue apart from its history.  ferry.task gets two partitions.

-- What is made of the rows of the old table.  Part 2 of schema.sql makes the views anew.
DROP VIEW IF EXISTS ferry.progress, ferry.workers, ferry.abandoned;
DROP FUNCTION IF EXISTS ferry.claim(bigint, integer[], text[], integer, text[]);

ALTER TABLE ferry.task RENAME TO task_before;
ALTER SEQUENCE ferry.task_id_seq RENAME TO task_before_id_seq;

CREATE TABLE ferry.task (
	LIKE ferry.task_before
		INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING GENERATED INCLUDING CONSTRAINTS
) PARTITION BY LIST (state);
CREATE TABLE ferry.task_live PARTITION OF ferry.task
	FOR VALUES IN ('queued', 'running')
	WITH (fillfactor = 70,
	      autovacuum_vacuum_threshold = 1000,
	      autovacuum_vacuum_scale_factor = 0.01,
	      autovacuum_vacuum_cost_delay = 0);
CREATE TABLE ferry.task_ended PARTITION OF ferry.task
	FOR VALUES IN ('done', 'failed', 'cancelled');

INSERT INTO ferry.task (id, source, destination, queue, priority, run_at, dedup_key, max_attempts,
    if_exists, expect_size, expect_crc64, content_type, metadata, storage_class, state, attempt,
    crashes, ooms, node, worker, claim, bytes_total, bytes_done, crc64, etag, verified_by,
    peak_memory, error, error_class, created_at, started_at, finished_at)
OVERRIDING SYSTEM VALUE
SELECT id, source, destination, queue, priority, run_at, dedup_key, max_attempts,
    if_exists, expect_size, expect_crc64, content_type, metadata, storage_class, state, attempt,
    crashes, ooms, node, worker, claim, bytes_total, bytes_done, crc64, etag, verified_by,
    peak_memory, error, error_class, created_at, started_at, finished_at
FROM ferry.task_before;

SELECT setval(pg_get_serial_sequence('ferry.task', 'id'), s.last_value, s.is_called)
FROM ferry.task_before_id_seq s;
DROP TABLE ferry.task_before;

ALTER TABLE ferry.task_live ADD PRIMARY KEY (id);
ALTER TABLE ferry.task_ended ADD PRIMARY KEY (id);
CREATE UNIQUE INDEX task_dedup ON ferry.task_live (dedup_key) WHERE dedup_key IS NOT NULL;
CREATE INDEX task_ready ON ferry.task_live ((~priority), run_at, id)
	WHERE (state = 'queued') IS TRUE;
CREATE INDEX task_running ON ferry.task_live (node) WHERE (state = 'running') IS TRUE;
CREATE INDEX task_finished ON ferry.task_ended (finished_at);
