-- The ferry schema, version 11, whole.  "ferryctl migrate" gives a new database this file, in one
-- transaction.  ferry(7) tells producers and operators what everything means.
--
-- Part 1 makes what holds data.  A database that exists gets changes of part 1 by the files
-- upgrade-NNN.sql, one for each version.
-- Part 2 makes functions, triggers, views and rights.  Each of its statements replaces what is
-- there, so "ferryctl migrate" runs part 2 after every upgrade too.  An upgrade drops only what
-- part 2 no longer has, or has with other parameters or columns.
--
--
-- The life of a row of ferry.task
--
-- from            to         who, when                                       statement
-- --------------  ---------  ----------------------------------------------  ---------------
--                 queued     producer                                        INSERT
-- queued          running    master, for its free workers                    claim
--                            the same, one by one, after a row that cannot   claim_numbers
--                            be read
--                            the same, under limits or weights               ferry.claim()
-- queued          queued     the same, if the task waits for an earlier one  claim
--                                                                            claim_numbers
--                                                                            ferry.claim()
-- running         done       master, when the worker reports success         settle_done
--                            worker, when its master is gone                 task_done
-- running         queued     worker, after a failure that may pass           task_retry
--                            worker, when it or its master stops             task_release
--                            master, when its worker died                    settle_death
--                            master, of tasks claimed ahead and not needed   release_claims
--                            master, when the answer to a claim was lost     reconcile
--                            master, when it stops                           leave
--                            another master, when the node's lease lapsed    rescue
-- running         failed     worker, after a failure that cannot pass,       task_failed
--                            or after max_attempts of them
--                            master, after max_crashes deaths of workers,    settle_death
--                            or max_ooms for want of memory
--                            master, of a row that cannot be read            claim_refuse
-- queued,running  cancelled  operator                                        ferry.cancel()
-- running, by     cancelled  the same statements that give it back, if a     ferry.supersede()
-- way of queued              newer task has its dedup_key
-- failed,         queued     operator                                        ferry.retry()
-- cancelled
-- done, failed,   (deleted)  master, when retention is over                  prune
-- cancelled
--
-- The fence.  Each claim gives the row a new random number in the column claim, and so does
-- ferry.retry().  No number comes twice, whatever happens to the database: it may be restored to an
-- earlier moment, fail over and lose its last transactions, or give the ids of a truncated table
-- once more.  A number from a sequence, or the last number plus one, would come twice then, and a
-- worker of the lost history would settle another task.
-- The other statements that end "running" name the id and the claim that they hold, and change
-- nothing if the row has another claim.  The claim tells the node too, since a row changes its node
-- only with its claim.  rescue, reconcile and leave name the node, whose id is random as well.
-- A worker whose claim was revoked, by rescue or ferry.cancel(), learns so within a second, or from
-- its next statement, and drops the task.  ferry.cancel() keeps the claim, so that the worker knows
-- that the upload is still its own to abort.
--
-- Newest wins.  Tasks with one destination run one after the other, in the order of their ids, so
-- that the newest content stays.  ferry.forerunners() is the rule: a task waits for them.  A claim
-- that meets such a task does not take it, but gives it the mark "behind", and later claims do not
-- meet it any more.  When a task leaves, ferry.free_next() takes the mark from the next one of its
-- destination.  A mark that is set at that same moment is found by ferry.free_behind(), which every
-- node calls from time to time.  The index task_object_running would refuse a second running task.
--
-- Two tasks may have the same id in two histories of the database.  first_claim tells them apart.
-- The rows of ferry.upload name both: a row with another first_claim belongs to no task.


-- ==== Part 1: what holds data ===================================================================

CREATE SCHEMA IF NOT EXISTS ferry;

CREATE TABLE IF NOT EXISTS ferry.schema_version (
	version     integer PRIMARY KEY,
	applied_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TYPE ferry.state AS ENUM ('queued', 'running', 'done', 'failed', 'cancelled');

-- True for an object of strings whose names are safe in headers, and whose values are printable.
CREATE FUNCTION ferry.metadata_is_valid(m jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog AS $$
	SELECT CASE
		WHEN jsonb_typeof(m) <> 'object' THEN false
		ELSE octet_length(m::text) <= 8000 AND coalesce((
			SELECT bool_and(jsonb_typeof(value) = 'string'
				AND key ~ '^[A-Za-z0-9][A-Za-z0-9-]{0,63}$'
				AND (value #>> '{}') !~ '[[:cntrl:]]')
			FROM jsonb_each(m)), true)
	END
$$;

-- One object to be copied.  The table has two partitions, so that the cost of claims does not
-- depend on the history: task_live has what waits or runs, stays as small as the queue and is
-- vacuumed often; task_ended has what has ended.  A row moves when its state does.
--
-- If two statements change one row at the same moment, and the first ends the task, the second
-- fails with SQLSTATE 40001 ("tuple to be locked was already moved to another partition").
-- It has to be tried again.  The functions below do so themselves.
CREATE TABLE ferry.task (
	-- What the producer says.
	id            bigint GENERATED ALWAYS AS IDENTITY,
	source        text NOT NULL,              -- STORE://BUCKET/KEY, or an http or https URL
	destination   text NOT NULL,              -- STORE://BUCKET/KEY
	queue         text NOT NULL DEFAULT 'default',
	priority      integer NOT NULL DEFAULT 0, -- higher first
	run_at        timestamptz NOT NULL DEFAULT now(), -- not before; oldest first
	dedup_key     text,                       -- unique among tasks that have not begun
	max_attempts  integer NOT NULL DEFAULT 10,
	if_exists     text NOT NULL DEFAULT 'overwrite',
	expect_size   bigint,                     -- bytes
	expect_crc64  numeric(20),                -- CRC-64/XZ
	content_type  text,                       -- NULL: as the source has it
	metadata      jsonb,                      -- NULL: as the source has it
	storage_class text,

	-- What has become of it.
	state         ferry.state NOT NULL DEFAULT 'queued',
	attempt       integer NOT NULL DEFAULT 0, -- transfers that failed
	crashes       integer NOT NULL DEFAULT 0, -- workers that died of it
	ooms          integer NOT NULL DEFAULT 0, -- workers that were killed for memory
	node          bigint,                     -- ferry.node.id, while running
	worker        integer,                    -- number of its slot; NULL: claimed ahead
	claim         bigint NOT NULL DEFAULT 0,  -- fencing token, random; 0: never claimed
	bytes_total   bigint,                     -- NULL: not known yet
	bytes_done    bigint NOT NULL DEFAULT 0,
	crc64         numeric(20),                -- of all bytes, CRC-64/XZ
	etag          text,                       -- of the new object
	verified_by   text,                       -- the evidence that the new object is right
	peak_memory   bigint,                     -- of the worker, in bytes
	error         text,                       -- of the last failure
	error_class   text,
	created_at    timestamptz NOT NULL DEFAULT now(),
	started_at    timestamptz,                -- first claim; NULL: has not begun
	finished_at   timestamptz,

	-- What limits are counted by.
	source_store      text
		GENERATED ALWAYS AS (lower(split_part(source, '://', 1))) STORED,
	destination_store text
		GENERATED ALWAYS AS (lower(split_part(destination, '://', 1))) STORED,

	-- The claim that was the first.  It tells the task from others with the same id.
	first_claim   bigint,                     -- NULL: never claimed

	-- What of its headers and metadata the new object did not get.
	warning       text,

	-- Waits for ferry.forerunners(): claims do not look at it.  Only a queued task does.
	behind        boolean NOT NULL DEFAULT false,

	CONSTRAINT source_length CHECK (octet_length(source) BETWEEN 1 AND 8191),
	CONSTRAINT destination_length CHECK (octet_length(destination) BETWEEN 1 AND 8191),
	CONSTRAINT queue_name CHECK (octet_length(queue) BETWEEN 1 AND 63),
	CONSTRAINT dedup_key_length CHECK (octet_length(dedup_key) BETWEEN 1 AND 1000),
	CONSTRAINT max_attempts_range CHECK (max_attempts BETWEEN 1 AND 1000),
	CONSTRAINT if_exists_value CHECK (if_exists IN ('overwrite', 'skip', 'fail')),
	CONSTRAINT expect_size_range CHECK (expect_size >= 0),
	CONSTRAINT expect_crc64_range CHECK (expect_crc64 BETWEEN 0 AND 18446744073709551615),
	CONSTRAINT content_type_text
		CHECK (octet_length(content_type) BETWEEN 1 AND 255
			AND content_type !~ '[[:cntrl:]]'),
	CONSTRAINT storage_class_text CHECK (storage_class ~ '^[A-Za-z0-9_]{1,63}$'),
	CONSTRAINT metadata_text CHECK (ferry.metadata_is_valid(metadata))
) PARTITION BY LIST (state);

-- What tells a destination from others: equal for two spellings of one object.  Two objects may
-- have one number, by chance of 2^-64, and then wait for each other without need.
CREATE FUNCTION ferry.object(store text, destination text) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN pg_catalog.hashtextextended(
	store OPERATOR(pg_catalog.||)
	pg_catalog.substr(destination, pg_catalog.strpos(destination, '://')), 0);

-- The primary keys are those of the partitions.  A key of the whole table would have to contain
-- the state.
CREATE TABLE ferry.task_live PARTITION OF ferry.task (PRIMARY KEY (id))
	FOR VALUES IN ('queued', 'running')
	WITH (fillfactor = 70,
	      autovacuum_vacuum_threshold = 1000,
	      autovacuum_vacuum_scale_factor = 0.01,
	      autovacuum_vacuum_cost_delay = 0);
CREATE TABLE ferry.task_ended PARTITION OF ferry.task (PRIMARY KEY (id))
	FOR VALUES IN ('done', 'failed', 'cancelled');

CREATE UNIQUE INDEX task_dedup ON ferry.task_live (dedup_key)
	WHERE dedup_key IS NOT NULL AND started_at IS NULL;

-- The tasks of a destination.  ~id keeps the planner from reading the primary key instead.
CREATE INDEX task_object ON ferry.task_live
	((ferry.object(destination_store, destination)), (~id));

-- The conditions of the next indexes end in IS TRUE, so that only statements that say
-- "(state = 'queued' AND NOT behind) IS TRUE" too can use them.  Otherwise the planner, which may have seen the
-- queue empty, would think the index small, and read it from end to end to find one task by its id
-- and state.  Such statements also say "state = 'queued'", from which the planner knows the
-- partition.

-- The order of claims: higher priority first, then oldest.  ~priority rises as priority falls, so
-- that all columns rise and a place in that order can be compared as a row.  (-priority would
-- overflow.)
CREATE INDEX task_ready ON ferry.task_live ((~priority), run_at, id)
	WHERE (state = 'queued' AND NOT behind) IS TRUE;

-- The same order within a lane: the queued tasks of one queue, pair of stores and priority.  The
-- pair is one column, so that a scan can end in front of a pair.  Names of stores have no '://'.
CREATE INDEX task_lane ON ferry.task_live
	(queue, ((source_store || '://' || destination_store) COLLATE "C"), (~priority), run_at, id)
	WHERE (state = 'queued' AND NOT behind) IS TRUE;

-- The tasks of a destination that wait for others.
CREATE INDEX task_behind ON ferry.task_live
	((ferry.object(destination_store, destination)), (~id))
	WHERE (state = 'queued' AND behind) IS TRUE;

-- One task at most runs for a destination.  IS NOT FALSE tells this index from task_running, which
-- the planner would read from end to end if it thought few tasks run.
CREATE UNIQUE INDEX task_object_running ON ferry.task_live
	((ferry.object(destination_store, destination)))
	WHERE (state = 'running') IS NOT FALSE;

CREATE INDEX task_running ON ferry.task_live (node) WHERE (state = 'running') IS TRUE;

CREATE INDEX task_finished ON ferry.task_ended (finished_at); -- for retention

-- A claim that was cancelled, and whose worker may not know of that yet: it can still make an object.
-- The node deletes the row when the worker has dropped the task.  If the node has no row any more,
-- its lease has lapsed, and its workers make nothing either.
CREATE TABLE ferry.lingering (
	claim   bigint PRIMARY KEY,
	task    bigint NOT NULL,
	node    bigint NOT NULL,
	object  bigint NOT NULL           -- ferry.object() of its destination
);
CREATE INDEX lingering_object ON ferry.lingering (object);

-- A place in a lane: the tasks behind it have not been looked at.
CREATE TYPE ferry.place AS (
	queue   text,
	pair    text COLLATE "C", -- source_store://destination_store
	rank    integer,          -- ~priority
	run_at  timestamptz,
	id      bigint
);

-- One row for each running ferryd.  Its tasks return to the queue when renewed_at + lease has
-- passed, by this database's clock.
CREATE TABLE ferry.node (
	id          bigint PRIMARY KEY,          -- random; ferryd draws it when it registers
	name        text NOT NULL,               -- host, and an unusual pid file's name
	pid         integer NOT NULL,
	version     text NOT NULL,
	lease       interval NOT NULL,
	started_at  timestamptz NOT NULL DEFAULT now(),
	renewed_at  timestamptz NOT NULL DEFAULT now(),
	workers     jsonb NOT NULL DEFAULT '[]', -- of each process: slot, pid, state
	CONSTRAINT workers_array CHECK (jsonb_typeof(workers) = 'array')
) WITH (fillfactor = 50);

-- What the configuration of each running ferryd says of its stores, so that every node knows every
-- limit.
CREATE TABLE ferry.node_store (
	node           bigint NOT NULL REFERENCES ferry.node ON DELETE CASCADE,
	store          text NOT NULL,
	max_transfers  integer,           -- tasks at once; NULL: no limit
	rate           bigint,            -- bytes a second; NULL: no limit
	PRIMARY KEY (node, store),
	CONSTRAINT max_transfers_range CHECK (max_transfers > 0),
	CONSTRAINT rate_range CHECK (rate > 0)
);

-- What operators say of a queue.  A queue without a row has the defaults.
CREATE TABLE ferry.queue (
	name           text PRIMARY KEY,
	enabled        boolean NOT NULL DEFAULT true, -- false: gives out no tasks
	max_transfers  integer              -- tasks at once over all nodes; NULL: no limit
		CONSTRAINT max_transfers_range CHECK (max_transfers > 0),
	rate           bigint               -- bytes a second over all nodes; NULL: no limit
		CONSTRAINT rate_range CHECK (rate > 0),
	weight         integer              -- share of claimed tasks; NULL: counts as 1
		CONSTRAINT weight_range CHECK (weight BETWEEN 1 AND 1000),
	patience       interval NOT NULL DEFAULT '10 minutes' -- due for longer: starving
		CONSTRAINT patience_range CHECK (patience >= '0 s')
);
INSERT INTO ferry.queue (name) VALUES ('default');

-- Something at a destination that has to be finished or removed: a multipart upload, a temporary
-- file, or an object that the store made other than it was sent.  The row is made before the
-- upload, and outlives its task.
CREATE TABLE ferry.upload (
	task          bigint NOT NULL,
	upload_id     text NOT NULL,     -- or the file's name, or the ETag of the spoiled object
	destination   text NOT NULL,
	claim         bigint NOT NULL,   -- of the attempt that began it
	source_size   bigint NOT NULL,   -- bytes; -1: not known
	source_etag   text NOT NULL,     -- what pins the source
	part_size     bigint NOT NULL,   -- bytes
	completing    boolean NOT NULL DEFAULT false, -- the store may have completed it
	abandoned     boolean NOT NULL DEFAULT false, -- no task goes on with it: to be aborted
	created_at    timestamptz NOT NULL DEFAULT now(),
	initiated     boolean NOT NULL DEFAULT true,  -- false: the store's id is not known
	host          text,              -- the only host that can remove the file
	reap_at       timestamptz,       -- when a reaper last tried
	reap_error    text,              -- why it could not
	spoiled       boolean NOT NULL DEFAULT false, -- an object, if its ETag is still upload_id
	first_claim   bigint NOT NULL,   -- of its task
	PRIMARY KEY (task, upload_id)
);

-- A task has one upload at most that it goes on with.
CREATE UNIQUE INDEX upload_current ON ferry.upload (task, first_claim)
	WHERE NOT abandoned AND NOT spoiled;

-- A finished part of an upload.
CREATE TABLE ferry.part (
	task       bigint NOT NULL,
	upload_id  text NOT NULL,
	number     integer NOT NULL, -- 1, 2, ...
	size       bigint NOT NULL,  -- bytes
	crc64      numeric(20) NOT NULL,
	etag       text NOT NULL,
	PRIMARY KEY (task, upload_id, number),
	FOREIGN KEY (task, upload_id) REFERENCES ferry.upload ON DELETE CASCADE
);

-- The roles have no LOGIN: grant them to the accounts of applications and nodes.  They belong to
-- the whole cluster, so the migration of another database may create them at the same moment.
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


-- ==== Part 2: functions, triggers, views, rights ================================================

-- ---- Wake-up: one notification a statement, not one a row ----

CREATE OR REPLACE FUNCTION ferry.wake() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
BEGIN
	PERFORM pg_notify('ferry_task', '');
	RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER wake AFTER INSERT ON ferry.task
	FOR EACH STATEMENT EXECUTE FUNCTION ferry.wake();

CREATE OR REPLACE FUNCTION ferry.limits_changed() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
BEGIN
	PERFORM pg_notify('ferry_limit', '');
	RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER limits_changed AFTER INSERT OR UPDATE OR DELETE ON ferry.node_store
	FOR EACH STATEMENT EXECUTE FUNCTION ferry.limits_changed();
CREATE OR REPLACE TRIGGER limits_changed AFTER INSERT OR UPDATE OR DELETE ON ferry.queue
	FOR EACH STATEMENT EXECUTE FUNCTION ferry.limits_changed();


-- ---- Newest wins ----

-- The tasks that a task waits for: the one that runs for its destination, one whose worker has not
-- dropped it yet, the earliest that waits for the same destination, and an ended task that has the
-- same id, since the id cannot end twice.  ("setval" on the sequence makes such ids.)  The planner
-- puts this function's statement into the statements that call it.
CREATE OR REPLACE FUNCTION ferry.forerunners(object bigint, task_id bigint)
RETURNS SETOF bigint
LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
	(SELECT r.id
	 FROM ferry.task r
	 WHERE r.state = 'running' AND (r.state = 'running') IS NOT FALSE
	 AND ferry.object(r.destination_store, r.destination) = forerunners.object
	 AND r.id <> task_id
	 LIMIT 1)
	UNION ALL
	(SELECT l.task
	 FROM ferry.lingering l
	 JOIN ferry.node n ON n.id = l.node
	 WHERE l.object = forerunners.object
	 LIMIT 1)
	UNION ALL
	(SELECT w.id
	 FROM ferry.task w
	 WHERE w.state IN ('queued', 'running')
	 AND ferry.object(w.destination_store, w.destination) = forerunners.object
	 AND ~w.id > ~task_id
	 ORDER BY ~w.id DESC
	 LIMIT 1)
	UNION ALL
	(SELECT e.id
	 FROM ferry.task e
	 WHERE e.state IN ('done', 'failed', 'cancelled')
	 AND e.id = task_id);
END;

-- Lets claims look at the earliest task that waits for this destination, unless it has a forerunner
-- still.  Returns whether there was one.
CREATE OR REPLACE FUNCTION ferry.free_next(of_object bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	UPDATE ferry.task t
	SET behind = false
	WHERE t.state = 'queued'
	AND t.ctid = (
		SELECT b.ctid
		FROM ferry.task b
		WHERE b.state = 'queued' AND (b.state = 'queued' AND b.behind) IS TRUE
		AND ferry.object(b.destination_store, b.destination) = of_object
		ORDER BY ~b.id DESC
		LIMIT 1
		FOR UPDATE SKIP LOCKED)
	AND NOT EXISTS (SELECT FROM ferry.forerunners(of_object, t.id));
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM pg_catalog.pg_notify('ferry_task', '');
	RETURN true;
END $$;

-- Calls ferry.free_next() for the next destinations behind "after" that tasks wait for.  Returns
-- the last of them, NULL if there are no more, and how many tasks it has freed.
CREATE OR REPLACE FUNCTION ferry.free_behind(after bigint, most integer,
    OUT last bigint, OUT freed integer)
LANGUAGE plpgsql
SET search_path = pg_catalog
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	freed := 0;
	last := after;
	FOR i IN 1..most LOOP
		SELECT ferry.object(t.destination_store, t.destination) INTO last
		FROM ferry.task t
		WHERE t.state = 'queued' AND (t.state = 'queued' AND t.behind) IS TRUE
		AND ferry.object(t.destination_store, t.destination) > last
		ORDER BY ferry.object(t.destination_store, t.destination)
		LIMIT 1;
		EXIT WHEN last IS NULL;
		freed := freed + ferry.free_next(last)::integer;
	END LOOP;
END $$;

-- A task leaves.  No tasks of its destination wait for one that waits itself.  The look into the
-- index, which is empty as a rule, costs less than to begin the statement of ferry.free_next().
CREATE OR REPLACE FUNCTION ferry.task_leaves() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
	object bigint := ferry.object(OLD.destination_store, OLD.destination);
BEGIN
	PERFORM 1
	FROM ferry.task b
	WHERE b.state OPERATOR(pg_catalog.=) 'queued'
	AND (b.state OPERATOR(pg_catalog.=) 'queued' AND b.behind) IS TRUE
	AND ferry.object(b.destination_store, b.destination) OPERATOR(pg_catalog.=) object
	LIMIT 1;
	IF FOUND THEN
		PERFORM ferry.free_next(object);
	END IF;
	RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER leaves AFTER DELETE ON ferry.task_live
	FOR EACH ROW WHEN (OLD.state = 'running' OR NOT OLD.behind)
	EXECUTE FUNCTION ferry.task_leaves();

-- A running task was cancelled.
CREATE OR REPLACE FUNCTION ferry.linger() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
BEGIN
	INSERT INTO ferry.lingering (claim, task, node, object)
	VALUES (NEW.claim, NEW.id, NEW.node,
		ferry.object(NEW.destination_store, NEW.destination))
	ON CONFLICT DO NOTHING;
	RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER linger AFTER INSERT ON ferry.task_ended
	FOR EACH ROW WHEN (NEW.state = 'cancelled' AND NEW.node IS NOT NULL)
	EXECUTE FUNCTION ferry.linger();

-- Its worker has dropped it.
CREATE OR REPLACE FUNCTION ferry.lingers_no_more() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
BEGIN
	PERFORM ferry.free_next(OLD.object);
	RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER leaves AFTER DELETE ON ferry.lingering
	FOR EACH ROW EXECUTE FUNCTION ferry.lingers_no_more();

-- A task that had begun returns to the queue.  If a newer one of its dedup_key waits, that one does
-- its work.  Life of a row: running -> queued -> cancelled, in one statement.
CREATE OR REPLACE FUNCTION ferry.supersede() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
BEGIN
	UPDATE ferry.task t
	SET state = 'cancelled',
		finished_at = now(),
		error = 'superseded by task ' || n.id,
		error_class = NULL
	FROM ferry.task n
	WHERE t.id = NEW.id
	AND t.state = 'queued'
	AND n.state = 'queued'
	AND n.started_at IS NULL
	AND n.dedup_key = NEW.dedup_key
	AND n.id > NEW.id;
	IF FOUND THEN
		PERFORM pg_notify('ferry_cancel', ''); -- its upload is to be aborted
	END IF;
	RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER supersede AFTER UPDATE OF state ON ferry.task_live
	FOR EACH ROW WHEN (OLD.state = 'running' AND NEW.state = 'queued'
		AND NEW.dedup_key IS NOT NULL)
	EXECUTE FUNCTION ferry.supersede();


-- ---- Claiming under limits and weights ----
--
-- Without either, and while no task starves, the master's own statement "claim" takes the first
-- tasks of all queues.

-- The limits and weights in force.  Of a store the smallest limit holds that a node states whose
-- lease has not lapsed.
CREATE OR REPLACE VIEW ferry.limits AS
SELECT 'store' AS kind,
	s.store AS name,
	min(s.max_transfers) AS max_transfers,
	min(s.rate) AS rate,
	NULL::integer AS weight
FROM ferry.node_store s
JOIN ferry.node n ON n.id = s.node
WHERE n.renewed_at + n.lease >= now()
GROUP BY s.store
HAVING min(s.max_transfers) IS NOT NULL OR min(s.rate) IS NOT NULL
UNION ALL
SELECT 'queue', q.name, q.max_transfers, q.rate, q.weight
FROM ferry.queue q
WHERE q.max_transfers IS NOT NULL OR q.rate IS NOT NULL OR q.weight IS NOT NULL;

-- The first due tasks of a queue, leaving out closed_stores: of each pair of stores the first
-- "wanted", in the order of priority; or, if starving, the first "wanted" starving tasks of each
-- lane.  Besides, with is_place, the place in each lane behind which the next look begins.
--
-- A claimed task leaves a dead index entry at the head of its lane until a vacuum removes it, and
-- no vacuum can while an older transaction is open.  So a lane with a place in "places" (those of
-- this queue, in order) is read only from there on, and the search for other lanes stops in front
-- of a lane that has a place.
CREATE OR REPLACE FUNCTION ferry.due_tasks(of_queue text, closed_stores text[], wanted integer,
    starving boolean, places ferry.place[])
RETURNS TABLE (task ferry.place, is_place boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	latest timestamptz := now();
	-- Tasks that were inserted since then may not have been committed yet.
	lately timestamptz := now() - interval '1 s';
	lane ferry.place;
	is_known boolean;
	known ferry.place; -- places[next]
	next integer := 1;
	at_pair text COLLATE "C" := '';
	after_rank bigint;
	open boolean := false; -- more of at_pair is wanted
	missing integer;
	got integer;
BEGIN
	IF starving THEN
		latest := now() - coalesce(
			(SELECT q.patience FROM ferry.queue q WHERE q.name = of_queue),
			'10 minutes');
	END IF;
	LOOP
		-- The next lane of this pair: one that the index has, or else the known one.
		known := places[next];
		lane := NULL;
		is_known := false;
		IF open THEN
			SELECT of_queue, at_pair, ~t.priority, t.run_at, t.id - 1 INTO lane
			FROM ferry.task t
			WHERE t.state = 'queued' AND (t.state = 'queued' AND NOT t.behind) IS TRUE
			AND t.queue = of_queue
			AND (t.source_store || '://' || t.destination_store) COLLATE "C" = at_pair
			AND ~t.priority > after_rank
			AND ~t.priority <
				CASE WHEN known.pair = at_pair THEN known.rank ELSE 2147483648 END
			ORDER BY ~t.priority, t.run_at, t.id
			LIMIT 1;
			IF NOT FOUND AND known.pair = at_pair THEN
				lane := known;
				is_known := true;
				next := next + 1;
			END IF;
		END IF;
		IF lane IS NULL THEN
			-- The next pair: one that the index has, or else the known one.
			WHILE places[next].pair <= at_pair LOOP
				next := next + 1;
			END LOOP;
			known := places[next];
			IF known IS NULL THEN
				SELECT (t.source_store || '://' || t.destination_store) COLLATE "C"
				INTO at_pair
				FROM ferry.task t
				WHERE t.state = 'queued' AND (t.state = 'queued' AND NOT t.behind) IS TRUE
				AND t.queue = of_queue
				AND (t.source_store || '://' || t.destination_store) COLLATE "C" > at_pair
				ORDER BY (t.source_store || '://' || t.destination_store) COLLATE "C"
				LIMIT 1;
				EXIT WHEN NOT FOUND;
			ELSE
				SELECT coalesce(min(n.pair), known.pair)
				INTO at_pair
				FROM (
					SELECT (t.source_store || '://' || t.destination_store) COLLATE "C" AS pair
					FROM ferry.task t
					WHERE t.state = 'queued' AND (t.state = 'queued' AND NOT t.behind) IS TRUE
					AND t.queue = of_queue
					AND (t.source_store || '://' || t.destination_store) COLLATE "C" > at_pair
					AND (t.source_store || '://' || t.destination_store) COLLATE "C" < known.pair
					ORDER BY (t.source_store || '://' || t.destination_store) COLLATE "C"
					LIMIT 1) n;
			END IF;
			open := split_part(at_pair, '://', 1) <> ALL (closed_stores)
			    AND substr(at_pair, strpos(at_pair, '://') + 3) <> ALL (closed_stores);
			after_rank := -2147483649;
			missing := wanted;
			CONTINUE;
		END IF;
		is_place := false;
		RETURN QUERY
		SELECT (t.queue, at_pair, ~t.priority, t.run_at, t.id)::ferry.place, false
		FROM ferry.task t
		WHERE t.state = 'queued' AND (t.state = 'queued' AND NOT t.behind) IS TRUE
		AND t.queue = of_queue
		AND (t.source_store || '://' || t.destination_store) COLLATE "C" = at_pair
		AND ~t.priority = lane.rank
		AND (t.run_at, t.id) > (lane.run_at, lane.id)
		AND t.run_at <= latest
		ORDER BY t.run_at, t.id
		LIMIT missing;
		GET DIAGNOSTICS got = ROW_COUNT;
		IF NOT starving THEN
			missing := missing - got;
			open := missing > 0;
		END IF;
		after_rank := lane.rank;
		-- A task that is inserted from now on can be due before one that is scheduled.
		IF is_known AND got = 0 AND NOT starving AND lane.run_at < lately
		   OR NOT is_known AND lane.run_at > now() THEN
			lane.run_at := lately;
			lane.id := 0;
		ELSIF is_known THEN
			CONTINUE;
		END IF;
		task := lane;
		is_place := true;
		RETURN NEXT;
	END LOOP;
END $$;

-- The "wanted" tasks of these queues that a claim should take, best first, and the places that
-- ferry.due_tasks() found.
--
-- If no queue has a weight (starts is NULL), starving tasks come first, the longest due of them
-- first, and then the highest priority over all queues.  Else the same order holds within each
-- queue, and the queues share by weight: a queue has had its share up to its start, in tasks
-- divided by its weight, so that its k-th task begins at start + (k - 1) / weight, and the task
-- that begins first is next.  (Start-time fair queueing: Goyal, Vin and Cheng, SIGCOMM 1996.)
CREATE OR REPLACE FUNCTION ferry.next_tasks(queues text[], starts double precision[],
    closed_stores text[], wanted integer, starving boolean, places ferry.place[])
RETURNS TABLE (task ferry.place, is_place boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN QUERY
	WITH known AS MATERIALIZED (
		SELECT u.queue, array_agg(u ORDER BY u) AS places
		FROM unnest(places) u
		GROUP BY u.queue),
	looked AS MATERIALIZED (
		SELECT q.place, q.start, coalesce(c.weight, 1)::double precision AS weight,
			s.starving, d.task, d.is_place
		FROM unnest(queues, starts) WITH ORDINALITY AS q(name, start, place)
		LEFT JOIN ferry.queue c ON c.name = q.name
		LEFT JOIN known k ON k.queue = q.name
		CROSS JOIN unnest(CASE WHEN starving THEN '{t,f}' ELSE '{f}' END::boolean[])
			AS s(starving)
		CROSS JOIN LATERAL
			ferry.due_tasks(q.name, closed_stores, wanted, s.starving, k.places) d),
	once AS (
		SELECT DISTINCT ON ((l.task).id) l.*
		FROM looked l
		WHERE NOT l.is_place
		ORDER BY (l.task).id, l.starving DESC),
	line AS (
		SELECT o.*, CASE WHEN o.starving THEN NULL ELSE (o.task).rank END AS rank
		FROM once o),
	turn AS (
		SELECT l.*, row_number() OVER (
			PARTITION BY CASE WHEN starts IS NOT NULL THEN l.place END
			ORDER BY NOT l.starving, l.rank, (l.task).run_at, (l.task).id) AS k
		FROM line l)
	(SELECT t.task, false
	 FROM turn t
	 ORDER BY coalesce(t.start + (t.k - 1) / t.weight, 0),
		CASE WHEN starts IS NOT NULL THEN t.place END,
		t.k
	 LIMIT wanted)
	UNION ALL
	SELECT l.task, true
	FROM looked l
	WHERE l.is_place;
END $$;

-- The places from which the next claim begins: of each lane the last task that was claimed, else
-- what was seen, else the old place.  At most 256, those of lanes that were just looked at first.
CREATE OR REPLACE FUNCTION ferry.new_places(claimed ferry.place[], seen ferry.place[],
    places ferry.place[])
RETURNS ferry.place[]
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN (
		SELECT array_agg(l.p ORDER BY l.p)
		FROM (
			SELECT n.p
			FROM (
				SELECT DISTINCT ON ((a.p).queue, (a.p).pair, (a.p).rank) a.p, a.age
				FROM (
					SELECT c::ferry.place AS p, 0 AS age FROM unnest(claimed) c
					UNION ALL
					SELECT s::ferry.place, 1 FROM unnest(seen) s
					UNION ALL
					SELECT o::ferry.place, 2 FROM unnest(places) o) a
				ORDER BY (a.p).queue, (a.p).pair, (a.p).rank, a.age,
					(a.p).run_at DESC, (a.p).id DESC) n
			ORDER BY n.age
			LIMIT 256) l);
END $$;

-- Claims up to "wanted" tasks for the node "claimer", within all limits and weights, leaving out
-- the stores in "shunned".  The first tasks go to "slots"; the rest are claimed ahead.  The claims
-- are the numbers behind "base", which the node has drawn at random for this call.  "starts" has
-- one start for each of "queues".  Life of a row: queued -> running.
--
-- Claims under a max_transfers wait for each other, so that each counts the tasks that the one
-- before took: every statement in here sees what was committed before it began.  A round takes no
-- more tasks than the narrowest limit leaves.  It looks at more than it wants, because other nodes
-- may be about to take the same tasks.
--
-- "ours" has the tasks that this node runs, so that the index entries of its earlier tasks, which
-- may be dead, need not be read to count them.
--
-- A task that has a forerunner is marked "behind", and returned too.  One call marks 512 at most.
--
-- The session keeps the places where its claims ended in the setting ferry.places.  A claim with
-- from_start finds what has come in front of a place since, such as a task that was given back.
CREATE OR REPLACE FUNCTION ferry.claim(claimer bigint, slots integer[], queues text[],
    wanted integer, base bigint, shunned text[], starts double precision[], starving boolean,
    from_start boolean, ours bigint[])
RETURNS SETOF ferry.task
LANGUAGE plpgsql
SET search_path = pg_catalog
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	taken integer := 0;
	marked integer := 0;
	before integer;
	room integer := wanted;
	look integer;
	closed text[] := shunned;
	served text[];
	limited boolean := EXISTS (
		SELECT FROM ferry.limits l WHERE l.max_transfers IS NOT NULL);
	weighted boolean := EXISTS (
		SELECT FROM ferry.queue q WHERE q.name = ANY (queues) AND q.weight IS NOT NULL);
	begun double precision[] := starts;
	places ferry.place[] := nullif(current_setting('ferry.places', true), '');
	found ferry.place[];
	seen ferry.place[];
	claimed ferry.place[];
	task ferry.task;
BEGIN
	IF limited THEN
		PERFORM pg_advisory_xact_lock(hashtext('ferry'), hashtext('claim'));
	END IF;
	served := ARRAY(
		SELECT u
		FROM unnest(queues) WITH ORDINALITY AS a(u, place)
		WHERE NOT EXISTS (SELECT FROM ferry.queue q WHERE q.name = u AND NOT q.enabled)
		ORDER BY place);
	WHILE taken < wanted LOOP
		room := wanted - taken;
		IF limited THEN
			WITH used AS MATERIALIZED (
				SELECT a.queue, a.source_store, a.destination_store,
					count(*) AS tasks
				FROM (
					SELECT t.queue, t.source_store, t.destination_store
					FROM ferry.task t
					WHERE t.state = 'running'
					AND t.id = ANY (ours)
					AND t.node = claimer
					UNION ALL
					SELECT t.queue, t.source_store, t.destination_store
					FROM ferry.task t
					WHERE t.state = 'running' AND (t.state = 'running') IS TRUE
					AND t.node < claimer
					UNION ALL
					SELECT t.queue, t.source_store, t.destination_store
					FROM ferry.task t
					WHERE t.state = 'running' AND (t.state = 'running') IS TRUE
					AND t.node > claimer) a
				GROUP BY 1, 2, 3),
			room AS MATERIALIZED (
				SELECT l.kind, l.name, l.max_transfers - coalesce((
					SELECT sum(u.tasks)
					FROM used u
					WHERE l.kind = 'queue' AND u.queue = l.name
					OR l.kind = 'store'
					AND l.name IN (u.source_store, u.destination_store)),
					0) AS left
				FROM ferry.limits l
				WHERE l.max_transfers IS NOT NULL
				AND (l.kind = 'store' OR l.name = ANY (queues)))
			SELECT
				least(wanted - taken, (
					SELECT min(r.left)
					FROM room r
					WHERE r.left > 0)),
				shunned || ARRAY(
					SELECT r.name
					FROM room r
					WHERE r.kind = 'store' AND r.left <= 0),
				ARRAY(
					SELECT u
					FROM unnest(served) WITH ORDINALITY AS a(u, place)
					WHERE NOT EXISTS (
						SELECT
						FROM room r
						WHERE r.kind = 'queue'
						AND r.name = u
						AND r.left <= 0)
					ORDER BY place)
			INTO room, closed, served;
		END IF;
		look := 2 * room + 8;
		SELECT array_agg(n.task) FILTER (WHERE NOT n.is_place),
			array_agg(n.task) FILTER (WHERE n.is_place)
		INTO found, seen
		FROM ferry.next_tasks(
			served,
			CASE WHEN weighted THEN ARRAY(
				SELECT begun[array_position(queues, u)]
				FROM unnest(served) WITH ORDINALITY AS a(u, place)
				ORDER BY place) END,
			closed,
			look,
			starving,
			CASE WHEN taken > 0 OR NOT from_start THEN places END) n;
		before := taken + marked;
		claimed := '{}';
		FOR task IN
			WITH ready AS MATERIALIZED (
				SELECT t.id, f.place, (
					SELECT w.task
					FROM ferry.forerunners(ferry.object(
						t.destination_store, t.destination), t.id) AS w(task)
					LIMIT 1) AS forerunner
				FROM unnest(found) WITH ORDINALITY
					AS f(queue, pair, rank, run_at, id, place)
				JOIN ferry.task t ON t.id = f.id
				WHERE t.state = 'queued'
				ORDER BY f.place
				LIMIT room
				FOR UPDATE OF t SKIP LOCKED),
			numbered AS MATERIALIZED (
				SELECT id, forerunner,
					CASE WHEN forerunner IS NULL THEN taken + count(*)
						FILTER (WHERE forerunner IS NULL)
						OVER (ORDER BY place) END AS place
				FROM ready)
			UPDATE ferry.task t
			SET state = CASE WHEN n.place IS NULL THEN 'queued'::ferry.state
					ELSE 'running'::ferry.state END,
				behind = n.place IS NULL,
				claim = coalesce(base + n.place, t.claim),
				first_claim = coalesce(t.first_claim, base + n.place),
				node = CASE WHEN n.place IS NOT NULL THEN claimer END,
				worker = slots[n.place],
				started_at = CASE WHEN n.place IS NULL THEN t.started_at
					ELSE coalesce(t.started_at, now()) END,
				error = CASE WHEN n.forerunner = t.id
					THEN coalesce(ferry.id_is_taken(t.id), t.error)
					ELSE t.error END
			FROM numbered n
			WHERE t.id = n.id
			RETURNING t.*
		LOOP
			RETURN NEXT task;
			IF task.behind THEN
				marked := marked + 1;
			ELSE
				taken := taken + 1;
				ours := ours || task.id;
			END IF;
			claimed := claimed || (task.queue,
				task.source_store || '://' || task.destination_store,
				~task.priority, task.run_at, task.id)::ferry.place;
		END LOOP;
		places := ferry.new_places(claimed, seen, places);
		EXIT WHEN taken + marked = before
			OR (taken + marked - before < room AND cardinality(found) < look)
			OR marked >= 512;
		IF taken < wanted AND weighted THEN
			begun := ARRAY(
				SELECT u.begun
					+ (SELECT count(*)
					   FROM unnest(claimed) k
					   WHERE k.queue = u.name
					   AND k.id = ANY (ours))
					/ coalesce(c.weight, 1)::double precision
				FROM unnest(queues, begun) WITH ORDINALITY AS u(name, begun, place)
				LEFT JOIN ferry.queue c ON c.name = u.name
				ORDER BY u.place);
		END IF;
	END LOOP;
	PERFORM set_config('ferry.places', places::text, false);
	-- The other nodes have to leave these tasks a share of the rates.
	IF taken > 0 AND EXISTS (SELECT FROM ferry.limits l WHERE l.rate IS NOT NULL) THEN
		PERFORM pg_notify('ferry_limit', '');
	END IF;
END $$;


-- ---- Ids that come twice ----

-- A sequence whose next number is not larger than all numbers in its table, and the statement that
-- mends it.  A restore of the data alone leaves it so, or a logical replica, or a "setval".
CREATE OR REPLACE FUNCTION ferry.sequences_behind() RETURNS TABLE (sequence text, mend text)
LANGUAGE sql STABLE
SET search_path = pg_catalog AS $$
	SELECT 'ferry.task_id_seq',
		format('SELECT setval(''ferry.task_id_seq'', %s)', m.id)
	FROM ferry.task_id_seq s,
		(SELECT greatest(
			(SELECT max(id) FROM ferry.task WHERE state IN ('queued', 'running')),
			(SELECT max(id) FROM ferry.task WHERE state IN ('done', 'failed', 'cancelled')))
		 AS id) m
	WHERE s.last_value < m.id
	OR s.last_value = m.id AND NOT s.is_called
$$;

-- What the column error says of a task that cannot be claimed, because a task that has ended has
-- the same id.  NULL if none has.
CREATE OR REPLACE FUNCTION ferry.id_is_taken(task_id bigint) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog AS $$
	SELECT format('a task that has ended has the id %s too: give this one another id by '
		'"%sUPDATE ferry.task SET id = DEFAULT WHERE id = %s AND state = ''queued''"',
		task_id,
		(SELECT string_agg(b.mend || '; ', '') FROM ferry.sequences_behind() b),
		task_id)
	WHERE EXISTS (
		SELECT
		FROM ferry.task e
		WHERE e.state IN ('done', 'failed', 'cancelled')
		AND e.id = task_id)
$$;


-- ---- What operators call ----
--
-- Those that change a row of ferry.task try again if another statement ends the task meanwhile:
-- see ferry.task.  In a transaction that keeps one snapshot they cannot, and fail.

-- Cancels a task.  Returns whether it was queued or running.  A running worker stops within a
-- second.  Life of a row: queued, running -> cancelled.
CREATE OR REPLACE FUNCTION ferry.cancel(task_id bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
BEGIN
	LOOP
		BEGIN
			UPDATE ferry.task
			SET state = 'cancelled',
				finished_at = now(),
				error = 'cancelled',
				error_class = NULL
			WHERE id = task_id
			AND state IN ('queued', 'running');
			IF NOT FOUND THEN
				RETURN false;
			END IF;
			PERFORM pg_notify('ferry_cancel', '');
			RETURN true;
		EXCEPTION WHEN serialization_failure THEN
			IF current_setting('transaction_isolation') <> 'read committed' THEN
				RAISE;
			END IF;
		END;
	END LOOP;
END $$;

-- A number that no claim has, had or will have: 62 random bits.
CREATE OR REPLACE FUNCTION ferry.new_claim() RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog AS $$
	-- the second half of a random UUID: its first two bits are always 1 and 0
	SELECT ('x' || translate(right(gen_random_uuid()::text, 17), '-', ''))::bit(64)::bigint
		& 4611686018427387903
$$;

-- Queues a task again, with its counters at zero.  Returns whether it was failed or cancelled.
-- It counts as one that has not begun, and fails if another such task has the same dedup_key.  The
-- claim changes, so that a
-- worker that has not noticed the cancellation yet cannot touch the row.
-- Life of a row: failed, cancelled -> queued.
CREATE OR REPLACE FUNCTION ferry.retry(task_id bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
DECLARE
	other bigint;
BEGIN
	LOOP
		BEGIN
			UPDATE ferry.task
			SET state = 'queued',
				run_at = now(),
				attempt = 0,
				crashes = 0,
				ooms = 0,
				node = NULL,
				worker = NULL,
				started_at = NULL,
				first_claim = coalesce(first_claim, nullif(claim, 0)),
				claim = ferry.new_claim(),
				error = NULL,
				error_class = NULL,
				finished_at = NULL
			WHERE id = task_id
			AND state IN ('failed', 'cancelled');
			IF NOT FOUND THEN
				RETURN false;
			END IF;
			PERFORM pg_notify('ferry_task', '');
			RETURN true;
		EXCEPTION WHEN serialization_failure THEN
			IF current_setting('transaction_isolation') <> 'read committed' THEN
				RAISE;
			END IF;
		WHEN unique_violation THEN
			SELECT l.id INTO other
			FROM ferry.task t
			JOIN ferry.task l ON l.dedup_key = t.dedup_key
			WHERE t.id = task_id
			AND l.state = 'queued'
			AND l.started_at IS NULL
			AND l.id <> t.id;
			-- If there is no other task, it has begun meanwhile: try again.
			IF other IS NOT NULL
			   OR current_setting('transaction_isolation') <> 'read committed' THEN
				RAISE unique_violation USING MESSAGE = format(
					'task %s cannot be queued again: '
					'task %s, which has not begun, has the same dedup_key',
					task_id, coalesce(other::text, 'another'));
			END IF;
		END;
	END LOOP;
END $$;

-- Gives a task another priority.  Returns whether it was queued or running.  A running task keeps
-- its worker; the priority counts if the task is queued again.
CREATE OR REPLACE FUNCTION ferry.reprioritise(task_id bigint, new_priority integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
BEGIN
	LOOP
		BEGIN
			UPDATE ferry.task
			SET priority = new_priority
			WHERE id = task_id
			AND state IN ('queued', 'running');
			IF NOT FOUND THEN
				RETURN false;
			END IF;
			PERFORM pg_notify('ferry_task', '');
			RETURN true;
		EXCEPTION WHEN serialization_failure THEN
			IF current_setting('transaction_isolation') <> 'read committed' THEN
				RAISE;
			END IF;
		END;
	END LOOP;
END $$;

-- Lets a queue give out no more tasks.  Running tasks go on.  A queue without a row gets one.
-- Returns whether this changed anything.
CREATE OR REPLACE FUNCTION ferry.pause(queue_name text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
BEGIN
	INSERT INTO ferry.queue AS q (name, enabled)
	VALUES (queue_name, false)
	ON CONFLICT (name) DO UPDATE SET enabled = false WHERE q.enabled;
	RETURN FOUND;
END $$;

-- Lets a paused queue go on.  Returns whether this changed anything.
CREATE OR REPLACE FUNCTION ferry.resume(queue_name text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
BEGIN
	UPDATE ferry.queue
	SET enabled = true
	WHERE name = queue_name
	AND NOT enabled;
	RETURN FOUND;
END $$;

-- The uploads that belong to no task that has not ended.  A task that has the same id and another
-- first_claim is another task.  A task that was cancelled less than a minute ago may have a worker
-- that is still removing its upload.
CREATE OR REPLACE VIEW ferry.abandoned AS
SELECT u.task, u.upload_id, u.destination, u.host, u.created_at, t.state,
	u.reap_at AS tried_at, u.reap_error AS error, u.spoiled
FROM ferry.upload u
LEFT JOIN ferry.task t ON t.id = u.task AND t.first_claim = u.first_claim
WHERE u.abandoned
OR t.id IS NULL
OR t.state IN ('done', 'failed')
OR (t.state = 'cancelled' AND coalesce(t.finished_at, now()) < now() - interval '1 minute');

-- Asks the daemons to abort all abandoned uploads now.  Returns how many there are.
CREATE OR REPLACE FUNCTION ferry.reap() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
DECLARE
	found bigint;
BEGIN
	UPDATE ferry.upload u
	SET abandoned = true,
		reap_at = NULL,
		reap_error = NULL
	FROM (SELECT task, upload_id FROM ferry.abandoned) a
	WHERE u.task = a.task
	AND u.upload_id = a.upload_id;
	GET DIAGNOSTICS found = ROW_COUNT;
	PERFORM pg_notify('ferry_reap', '');
	RETURN found;
END $$;


-- ---- Views for people ----

-- A URI as people and logs may see it: a URL without its query string, where signatures are, and
-- without user:password@.
CREATE OR REPLACE FUNCTION ferry.redacted(uri text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog AS $$
	SELECT CASE
		WHEN uri ~* '^https?://' THEN
			regexp_replace(
				regexp_replace(uri, '^([^:]*://)[^/?#]*@', '\1'),
				'[?#].*$', '?...')
		ELSE uri
	END
$$;

-- The tasks that wait or run.
CREATE OR REPLACE VIEW ferry.progress AS
SELECT t.id, t.queue, t.state, ferry.redacted(t.source) AS source, t.destination,
	t.bytes_done, t.bytes_total,
	CASE WHEN t.bytes_total > 0
		THEN round(100.0 * t.bytes_done / t.bytes_total, 1) END AS percent,
	CASE WHEN t.state = 'running' AND t.started_at IS NOT NULL
		THEN now() - t.started_at END AS running_for,
	n.name AS node, t.worker, t.attempt, t.crashes, t.ooms, t.run_at, t.error_class, t.error,
	CASE WHEN t.behind THEN (
		SELECT f.task
		FROM ferry.forerunners(ferry.object(
			t.destination_store, t.destination), t.id) AS f(task)
		LIMIT 1) END AS waiting_for
FROM ferry.task t
LEFT JOIN ferry.node n ON n.id = t.node
WHERE t.state IN ('queued', 'running');

-- The worker processes of every node, as of the node's last renewal, with the tasks that they have
-- now.
CREATE OR REPLACE VIEW ferry.workers AS
SELECT n.id AS node_id, n.name AS node, n.pid AS master_pid,
	w.slot, w.pid, w.state,
	t.id AS task,
	CASE WHEN t.bytes_total > 0
		THEN round(100.0 * t.bytes_done / t.bytes_total, 1) END AS percent,
	n.renewed_at AS seen_at,
	n.renewed_at + n.lease < now() AS lapsed
FROM ferry.node n
CROSS JOIN LATERAL jsonb_to_recordset(n.workers) AS w(slot integer, pid integer, state text)
LEFT JOIN ferry.task t
	ON t.node = n.id
	AND t.worker = w.slot
	AND t.state = 'running'
	AND (t.state = 'running') IS TRUE;


-- ---- Rights ----

GRANT USAGE ON SCHEMA ferry TO ferry_producer, ferry_daemon;

-- Producers insert tasks and look.
GRANT INSERT (source, destination, queue, priority, run_at, dedup_key, max_attempts, if_exists,
    expect_size, expect_crc64, content_type, metadata, storage_class)
	ON ferry.task TO ferry_producer;
GRANT SELECT ON ferry.task, ferry.queue, ferry.limits, ferry.progress, ferry.workers
	TO ferry_producer;
-- ferry.progress calls ferry.forerunners(), which reads these with the rights of the caller.
GRANT SELECT ON ferry.lingering TO ferry_producer;
GRANT SELECT (id) ON ferry.node TO ferry_producer;
GRANT EXECUTE ON FUNCTION
	ferry.object(text, text),
	ferry.forerunners(bigint, bigint)
	TO ferry_producer;

-- Nodes and operators do the rest.
GRANT SELECT, INSERT, UPDATE, DELETE
	ON ferry.task, ferry.upload, ferry.part, ferry.node, ferry.node_store, ferry.queue,
	ferry.lingering
	TO ferry_daemon;
GRANT SELECT ON SEQUENCE ferry.task_id_seq TO ferry_daemon;
GRANT SELECT
	ON ferry.schema_version, ferry.limits, ferry.abandoned, ferry.progress, ferry.workers
	TO ferry_daemon;

REVOKE ALL ON FUNCTION
	ferry.claim(bigint, integer[], text[], integer, bigint, text[], double precision[], boolean,
	    boolean, bigint[]),
	ferry.next_tasks(text[], double precision[], text[], integer, boolean, ferry.place[]),
	ferry.due_tasks(text, text[], integer, boolean, ferry.place[]),
	ferry.new_places(ferry.place[], ferry.place[], ferry.place[]),
	ferry.free_next(bigint),
	ferry.free_behind(bigint, integer),
	ferry.sequences_behind(),
	ferry.cancel(bigint),
	ferry.new_claim(),
	ferry.retry(bigint),
	ferry.reprioritise(bigint, integer),
	ferry.pause(text),
	ferry.resume(text),
	ferry.reap()
	FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	ferry.claim(bigint, integer[], text[], integer, bigint, text[], double precision[], boolean,
	    boolean, bigint[]),
	ferry.next_tasks(text[], double precision[], text[], integer, boolean, ferry.place[]),
	ferry.due_tasks(text, text[], integer, boolean, ferry.place[]),
	ferry.new_places(ferry.place[], ferry.place[], ferry.place[]),
	ferry.free_next(bigint),
	ferry.free_behind(bigint, integer),
	ferry.sequences_behind(),
	ferry.cancel(bigint),
	ferry.new_claim(),
	ferry.retry(bigint),
	ferry.reprioritise(bigint, integer),
	ferry.pause(text),
	ferry.resume(text),
	ferry.reap()
	TO ferry_daemon;
