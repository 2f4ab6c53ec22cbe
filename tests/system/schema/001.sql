-- ferryd schema, version 1: the queue, its checkpoints, its nodes.  Applied by "ferryctl migrate" in one transaction
-- together with the row in ferry.schema_version.

CREATE SCHEMA IF NOT EXISTS ferry;

CREATE TABLE IF NOT EXISTS ferry.schema_version (
	version     integer PRIMARY KEY,
	applied_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TYPE ferry.state AS ENUM ('queued', 'running', 'done', 'failed', 'cancelled');

-- One row for each running ferryd.  Its tasks return to the queue when renewed_at + lease has passed, by this
-- database's clock.  workers is what the node last said of its processes, for the view.
CREATE TABLE ferry.node (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name        text NOT NULL,
	pid         integer NOT NULL,
	version     text NOT NULL,
	lease       interval NOT NULL,
	started_at  timestamptz NOT NULL DEFAULT now(),
	renewed_at  timestamptz NOT NULL DEFAULT now(),
	workers     jsonb NOT NULL DEFAULT '[]',
	CONSTRAINT workers_array CHECK (jsonb_typeof(workers) = 'array')
) WITH (fillfactor = 50);

CREATE TABLE ferry.queue (
	name     text PRIMARY KEY,
	enabled  boolean NOT NULL DEFAULT true
);
INSERT INTO ferry.queue (name) VALUES ('default');

-- Metadata is an object of header-safe names and printable string values.
CREATE FUNCTION ferry.metadata_is_valid(m jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
	SELECT CASE WHEN m IS NULL THEN true
	            WHEN jsonb_typeof(m) <> 'object' THEN false
	            ELSE octet_length(m::text) <= 3000 AND coalesce((
			SELECT bool_and(jsonb_typeof(value) = 'string' AND key ~ '^[A-Za-z0-9][A-Za-z0-9-]{0,63}$'
			    AND (value #>> '{}') !~ '[[:cntrl:]]')
			FROM jsonb_each(m)), true) END
$$;

-- A URI as people and logs may see it: of a URL neither the query string, where signatures are, nor user:password@.
CREATE FUNCTION ferry.redacted(uri text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
	SELECT CASE WHEN uri ~* '^https?://'
	            THEN regexp_replace(regexp_replace(uri, '^([^:]*://)[^/?#]*@', '\1'), '[?#].*$', '?...')
	            ELSE uri END
$$;

CREATE TABLE ferry.task (
	id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	source        text NOT NULL,
	destination   text NOT NULL,
	queue         text NOT NULL DEFAULT 'default',
	priority      integer NOT NULL DEFAULT 0,
	run_at        timestamptz NOT NULL DEFAULT now(),
	dedup_key     text,
	max_attempts  integer NOT NULL DEFAULT 10,
	if_exists     text NOT NULL DEFAULT 'overwrite',
	expect_size   bigint,
	expect_crc64  numeric(20),
	content_type  text,
	metadata      jsonb,
	storage_class text,

	state         ferry.state NOT NULL DEFAULT 'queued',
	attempt       integer NOT NULL DEFAULT 0,
	crashes       integer NOT NULL DEFAULT 0,
	ooms          integer NOT NULL DEFAULT 0,
	node          bigint,
	worker        integer,
	claim         bigint NOT NULL DEFAULT 0,
	bytes_total   bigint,
	bytes_done    bigint NOT NULL DEFAULT 0,
	crc64         numeric(20),
	etag          text,
	verified_by   text,
	peak_memory   bigint,
	error         text,
	error_class   text,
	created_at    timestamptz NOT NULL DEFAULT now(),
	started_at    timestamptz,
	finished_at   timestamptz,

	source_store      text GENERATED ALWAYS AS (lower(split_part(source, '://', 1))) STORED,
	destination_store text GENERATED ALWAYS AS (lower(split_part(destination, '://', 1))) STORED,

	CONSTRAINT source_length CHECK (octet_length(source) BETWEEN 1 AND 8191),
	CONSTRAINT destination_length CHECK (octet_length(destination) BETWEEN 1 AND 8191),
	CONSTRAINT queue_name CHECK (octet_length(queue) BETWEEN 1 AND 63),
	CONSTRAINT dedup_key_length CHECK (octet_length(dedup_key) BETWEEN 1 AND 1000),
	CONSTRAINT max_attempts_range CHECK (max_attempts BETWEEN 1 AND 1000),
	CONSTRAINT if_exists_value CHECK (if_exists IN ('overwrite', 'skip', 'fail')),
	CONSTRAINT expect_size_range CHECK (expect_size >= 0),
	CONSTRAINT expect_crc64_range CHECK (expect_crc64 BETWEEN 0 AND 18446744073709551615),
	CONSTRAINT content_type_text CHECK (octet_length(content_type) BETWEEN 1 AND 255 AND content_type !~ '[[:cntrl:]]'),
	CONSTRAINT storage_class_text CHECK (storage_class ~ '^[A-Za-z0-9_]{1,63}$'),
	CONSTRAINT metadata_text CHECK (ferry.metadata_is_valid(metadata))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX task_ready ON ferry.task (priority DESC, run_at, id) WHERE state = 'queued';
CREATE INDEX task_running ON ferry.task (node) WHERE state = 'running';
CREATE UNIQUE INDEX task_dedup ON ferry.task (dedup_key) WHERE state IN ('queued', 'running');

-- A multipart upload (or a temporary file) that was begun for a task.  One that is not abandoned at most for each task.
-- destination is repeated here so that it can be aborted when the task is long gone.
CREATE TABLE ferry.upload (
	task          bigint NOT NULL,
	upload_id     text NOT NULL,
	destination   text NOT NULL,
	claim         bigint NOT NULL,
	source_size   bigint NOT NULL,
	source_etag   text NOT NULL,
	part_size     bigint NOT NULL,
	completing    boolean NOT NULL DEFAULT false,
	abandoned     boolean NOT NULL DEFAULT false,
	created_at    timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (task, upload_id)
);
CREATE UNIQUE INDEX upload_current ON ferry.upload (task) WHERE NOT abandoned;
CREATE INDEX upload_abandoned ON ferry.upload (created_at) WHERE abandoned;

CREATE TABLE ferry.part (
	task       bigint NOT NULL,
	upload_id  text NOT NULL,
	number     integer NOT NULL,
	size       bigint NOT NULL,
	crc64      numeric(20) NOT NULL,
	etag       text NOT NULL,
	PRIMARY KEY (task, upload_id, number),
	FOREIGN KEY (task, upload_id) REFERENCES ferry.upload ON DELETE CASCADE
);

-- Wake-up: one constant notification a statement, never one a row.
CREATE FUNCTION ferry.wake() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	PERFORM pg_notify('ferry_task', '');
	RETURN NULL;
END $$;
CREATE TRIGGER wake AFTER INSERT ON ferry.task FOR EACH STATEMENT EXECUTE FUNCTION ferry.wake();

-- Cancels a queued or running task.  A running worker sees it within a second.  Returns whether there was one to cancel.
CREATE FUNCTION ferry.cancel(task_id bigint) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	UPDATE ferry.task SET state = 'cancelled', finished_at = now(), error = 'cancelled', error_class = NULL
	WHERE id = task_id AND state IN ('queued', 'running');
	IF NOT FOUND THEN RETURN false; END IF;
	PERFORM pg_notify('ferry_cancel', '');
	RETURN true;
END $$;

-- Queues a failed or cancelled task again, with its counters at zero; parts that are already there are used.  The claim
-- rises, so that a worker that has not yet noticed the cancellation cannot touch the row that starts anew.
CREATE FUNCTION ferry.retry(task_id bigint) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	UPDATE ferry.task SET state = 'queued', run_at = now(), attempt = 0, crashes = 0, ooms = 0, node = NULL, worker = NULL,
	    claim = claim + 1, error = NULL, error_class = NULL, finished_at = NULL
	WHERE id = task_id AND state IN ('failed', 'cancelled');
	IF NOT FOUND THEN RETURN false; END IF;
	PERFORM pg_notify('ferry_task', '');
	RETURN true;
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
LEFT JOIN ferry.task t ON t.node = n.id AND t.worker = w.slot AND t.state = 'running';

-- The roles have no password and no LOGIN of their own: grant them to the accounts that applications and nodes use.
-- They belong to the whole cluster: a migration of another database may create them at the same moment.
DO $$
DECLARE
	role name;
BEGIN
	FOREACH role IN ARRAY ARRAY['ferry_producer', 'ferry_daemon'] LOOP
		CONTINUE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role);
		BEGIN
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role);
		EXCEPTION WHEN duplicate_object OR unique_violation THEN
			NULL;
		END;
	END LOOP;
END $$;

GRANT USAGE ON SCHEMA ferry TO ferry_producer, ferry_daemon;
GRANT INSERT (source, destination, queue, priority, run_at, dedup_key, max_attempts, if_exists, expect_size, expect_crc64,
    content_type, metadata, storage_class) ON ferry.task TO ferry_producer;
GRANT SELECT ON ferry.task, ferry.progress, ferry.workers, ferry.queue TO ferry_producer;
GRANT SELECT, INSERT, UPDATE, DELETE ON ferry.task, ferry.upload, ferry.part, ferry.node, ferry.queue TO ferry_daemon;
GRANT SELECT ON ferry.progress, ferry.workers, ferry.schema_version TO ferry_daemon;
REVOKE ALL ON FUNCTION ferry.cancel(bigint), ferry.retry(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ferry.cancel(bigint), ferry.retry(bigint) TO ferry_daemon;
