-- ferryd schema, version 4.

-- The queue apart from its history.  What waits or runs is in ferry.task_live, which stays as small as the queue is and is
-- vacuumed often; what has ended is in ferry.task_ended, which nothing reads that claims or settles.  A row moves when its state
-- does.  For everybody else both are still ferry.task.
--
-- Two UPDATEs of one row at the same moment, of which the first ends the task, end for the second with SQLSTATE 40001, "already
-- moved to another partition": it is to be tried again.  ferry.cancel() and ferry.retry() do so themselves.

DROP VIEW ferry.progress, ferry.workers, ferry.abandoned;
DROP FUNCTION ferry.claim(bigint, integer[], text[], integer, text[]);
DROP TRIGGER wake ON ferry.task;
ALTER TABLE ferry.task RENAME TO task_before;
ALTER SEQUENCE ferry.task_id_seq RENAME TO task_before_id_seq;

CREATE TABLE ferry.task (
	LIKE ferry.task_before INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING GENERATED INCLUDING CONSTRAINTS
) PARTITION BY LIST (state);

CREATE TABLE ferry.task_live PARTITION OF ferry.task FOR VALUES IN ('queued', 'running')
	WITH (fillfactor = 70, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.01,
	      autovacuum_vacuum_cost_delay = 0);
CREATE TABLE ferry.task_ended PARTITION OF ferry.task FOR VALUES IN ('done', 'failed', 'cancelled');

INSERT INTO ferry.task (id, source, destination, queue, priority, run_at, dedup_key, max_attempts, if_exists, expect_size,
    expect_crc64, content_type, metadata, storage_class, state, attempt, crashes, ooms, node, worker, claim, bytes_total, bytes_done,
    crc64, etag, verified_by, peak_memory, error, error_class, created_at, started_at, finished_at) OVERRIDING SYSTEM VALUE
SELECT id, source, destination, queue, priority, run_at, dedup_key, max_attempts, if_exists, expect_size,
    expect_crc64, content_type, metadata, storage_class, state, attempt, crashes, ooms, node, worker, claim, bytes_total, bytes_done,
    crc64, etag, verified_by, peak_memory, error, error_class, created_at, started_at, finished_at
FROM ferry.task_before;
SELECT setval(pg_get_serial_sequence('ferry.task', 'id'), s.last_value, s.is_called) FROM ferry.task_before_id_seq s;
DROP TABLE ferry.task_before;

-- The keys are those of the parts, not of the whole, where they would have to name the state.  A row is in one part only, and
-- whether a dedup_key is taken is asked of what has not ended.
ALTER TABLE ferry.task_live ADD CONSTRAINT task_live_pkey PRIMARY KEY (id);
ALTER TABLE ferry.task_ended ADD CONSTRAINT task_ended_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX task_dedup ON ferry.task_live (dedup_key) WHERE dedup_key IS NOT NULL;

-- The order of claims: higher priority first, then oldest.  ~priority rises as priority falls, so that all columns rise and a
-- place in that order can be compared as a row; -priority would overflow.
--
-- IS TRUE changes nothing but who can use these indexes: statements that say the same.  The planner, which may have seen the
-- queue empty, takes them to be so, and would read them from end to end to find a task by its id and state.
CREATE INDEX task_ready ON ferry.task_live ((~priority), run_at, id) WHERE (state = 'queued') IS TRUE;
-- The same apart for each queue and pair of stores: see ferry.open_tasks().
CREATE INDEX task_lane ON ferry.task_live (queue, source_store, destination_store, priority DESC, run_at, id)
	WHERE (state = 'queued') IS TRUE;
CREATE INDEX task_running ON ferry.task_live (node) WHERE (state = 'running') IS TRUE;
-- For whoever removes what is old.
CREATE INDEX task_finished ON ferry.task_ended (finished_at);

CREATE TRIGGER wake AFTER INSERT ON ferry.task FOR EACH STATEMENT EXECUTE FUNCTION ferry.wake();

CREATE OR REPLACE FUNCTION ferry.cancel(task_id bigint) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	LOOP
		BEGIN
			UPDATE ferry.task SET state = 'cancelled', finished_at = now(), error = 'cancelled', error_class = NULL
			WHERE id = task_id AND state IN ('queued', 'running');
			IF NOT FOUND THEN RETURN false; END IF;
			PERFORM pg_notify('ferry_cancel', '');
			RETURN true;
		EXCEPTION WHEN serialization_failure THEN
			-- It has ended, or was cancelled, while we waited for it.  In a transaction that sees one moment only it would stay so.
			IF current_setting('transaction_isolation') <> 'read committed' THEN RAISE; END IF;
		END;
	END LOOP;
END $$;

CREATE OR REPLACE FUNCTION ferry.retry(task_id bigint) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	LOOP
		BEGIN
			UPDATE ferry.task SET state = 'queued', run_at = now(), attempt = 0, crashes = 0, ooms = 0, node = NULL,
			    worker = NULL, claim = claim + 1, error = NULL, error_class = NULL, finished_at = NULL
			WHERE id = task_id AND state IN ('failed', 'cancelled');
			IF NOT FOUND THEN RETURN false; END IF;
			PERFORM pg_notify('ferry_task', '');
			RETURN true;
		EXCEPTION WHEN serialization_failure THEN
			IF current_setting('transaction_isolation') <> 'read committed' THEN RAISE; END IF;
		END;
	END LOOP;
END $$;

-- What is on its way or waiting, for people.
CREATE VIEW ferry.progress AS
SELECT t.id, t.queue, t.state, ferry.redacted(t.source) AS source, t.destination,
       t.bytes_done, t.bytes_total,
       CASE WHEN t.bytes_total > 0 THEN round(100.0 * t.bytes_done / t.bytes_total, 1) END AS percent,
       CASE WHEN t.state = 'running' AND t.started_at IS NOT NULL THEN now() - t.started_at END AS running_for,
       n.name AS node, t.worker, t.attempt, t.crashes, t.ooms, t.run_at, t.error_class, t.error
FROM ferry.task t LEFT JOIN ferry.node n ON n.id = t.node
WHERE t.state IN ('queued', 'running');

-- Every worker process of every node as of the node's last renewal, with the task that it has now.
CREATE VIEW ferry.workers AS
SELECT n.id AS node_id, n.name AS node, n.pid AS master_pid, w.slot, w.pid, w.state, t.id AS task,
       CASE WHEN t.bytes_total > 0 THEN round(100.0 * t.bytes_done / t.bytes_total, 1) END AS percent,
       n.renewed_at AS seen_at, n.renewed_at + n.lease < now() AS lapsed
FROM ferry.node n
CROSS JOIN LATERAL jsonb_to_recordset(n.workers) AS w(slot integer, pid integer, state text)
LEFT JOIN ferry.task t ON t.node = n.id AND t.worker = w.slot AND t.state = 'running' AND (t.state = 'running') IS TRUE;

-- Claims at most so many tasks for a node's slots, within all limits, of none of the shunned stores.  Claims under a limit of
-- transfers wait for each other, so that each counts what the one before has taken: every statement in here sees what was
-- committed before it began.  A round takes no more than the narrowest limit leaves.
CREATE FUNCTION ferry.claim(claimer bigint, slots integer[], queues text[], wanted integer, shunned text[])
RETURNS SETOF ferry.task LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	taken integer := 0;
	got integer;
	room integer;
	closed text[];
	served text[];
BEGIN
	IF EXISTS (SELECT FROM ferry.limits l WHERE l.max_transfers IS NOT NULL) THEN
		PERFORM pg_advisory_xact_lock(hashtext('ferry'), hashtext('claim'));
	END IF;
	WHILE taken < wanted LOOP
		WITH room AS MATERIALIZED (
			SELECT l.kind, l.name, l.max_transfers - (SELECT count(*) FROM ferry.task t WHERE t.state = 'running'
				AND (l.kind = 'queue' AND t.queue = l.name
				     OR l.kind = 'store' AND l.name IN (t.source_store, t.destination_store))) AS left
			FROM ferry.limits l
			WHERE l.max_transfers IS NOT NULL AND (l.kind = 'store' OR l.name = ANY (queues)))
		SELECT least(wanted - taken, (SELECT min(r.left) FROM room r WHERE r.left > 0)),
		       shunned || ARRAY(SELECT r.name FROM room r WHERE r.kind = 'store' AND r.left <= 0),
		       ARRAY(SELECT DISTINCT u FROM unnest(queues) u
		             WHERE NOT EXISTS (SELECT FROM ferry.queue q WHERE q.name = u AND NOT q.enabled)
		             AND NOT EXISTS (SELECT FROM room r WHERE r.kind = 'queue' AND r.name = u AND r.left <= 0))
		INTO room, closed, served;
		RETURN QUERY
		WITH ready AS MATERIALIZED (
			SELECT t.id FROM ferry.task t WHERE t.state = 'queued'
			AND t.id = ANY (ARRAY(SELECT ferry.open_tasks(served, closed, room)))
			ORDER BY t.priority DESC, t.run_at, t.id FOR UPDATE SKIP LOCKED),
		numbered AS MATERIALIZED (SELECT id, slots[taken + row_number() OVER ()] AS slot FROM ready)
		UPDATE ferry.task t SET state = 'running', claim = t.claim + 1, node = claimer, worker = n.slot,
		    started_at = coalesce(t.started_at, now())
		FROM numbered n WHERE t.id = n.id RETURNING t.*;
		GET DIAGNOSTICS got = ROW_COUNT;
		taken := taken + got;
		EXIT WHEN got < room OR got = 0;
	END LOOP;
	-- the others have to make room in the rates that these will use
	IF taken > 0 AND EXISTS (SELECT FROM ferry.limits l WHERE l.rate IS NOT NULL) THEN
		PERFORM pg_notify('ferry_limit', '');
	END IF;
END $$;

-- What no live task owns.  A task that was cancelled a moment ago may still have a worker that is cleaning up.
CREATE VIEW ferry.abandoned AS
SELECT u.task, u.upload_id, u.destination, u.host, u.created_at, t.state, u.reap_at AS tried_at, u.reap_error AS error
FROM ferry.upload u LEFT JOIN ferry.task t ON t.id = u.task
WHERE u.abandoned OR t.id IS NULL OR t.state IN ('done', 'failed')
OR (t.state = 'cancelled' AND coalesce(t.finished_at, now()) < now() - interval '1 minute');

GRANT INSERT (source, destination, queue, priority, run_at, dedup_key, max_attempts, if_exists, expect_size, expect_crc64,
    content_type, metadata, storage_class) ON ferry.task TO ferry_producer;
GRANT SELECT ON ferry.task, ferry.progress, ferry.workers TO ferry_producer;
GRANT SELECT, INSERT, UPDATE, DELETE ON ferry.task TO ferry_daemon;
GRANT SELECT ON ferry.progress, ferry.workers, ferry.abandoned TO ferry_daemon;
REVOKE ALL ON FUNCTION ferry.claim(bigint, integer[], text[], integer, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ferry.claim(bigint, integer[], text[], integer, text[]) TO ferry_daemon;
