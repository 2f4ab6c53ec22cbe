-- The ferry schema, version 8, whole.  "ferryctl migrate" gives a new database this file, in one
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
--                            the same, under limits or weights               ferry.claim()
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
-- queued,running  cancelled  operator                                        ferry.cancel()
-- failed,         queued     operator                                        ferry.retry()
-- cancelled
-- done, failed,   (deleted)  master, when retention is over                  prune_limits
-- cancelled
--
-- A claim makes the column claim larger by one, and so does ferry.retry().  The other statements
-- that end "running" name the claim that they hold, and change nothing if the row has another;
-- rescue, reconcile and leave name the node instead.  A worker whose claim was revoked, by rescue
-- or ferry.cancel(), learns so within a second, or from its next statement, and drops the task.


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
		ELSE octet_length(m::text) <= 3000 AND coalesce((
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
	dedup_key     text,                       -- unique among tasks that have not ended
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
	claim         bigint NOT NULL DEFAULT 0,  -- fencing token
	bytes_total   bigint,                     -- NULL: not known yet
	bytes_done    bigint NOT NULL DEFAULT 0,
	crc64         numeric(20),                -- of all bytes, CRC-64/XZ
	etag          text,                       -- of the new object
	verified_by   text,                       -- the evidence that the new object is right
	peak_memory   bigint,                     -- of the worker, in bytes
	error         text,                       -- of the last failure
	error_class   text,
	created_at    timestamptz NOT NULL DEFAULT now(),
	started_at    timestamptz,                -- first claim
	finished_at   timestamptz,

	-- What limits are counted by.
	source_store      text
		GENERATED ALWAYS AS (lower(split_part(source, '://', 1))) STORED,
	destination_store text
		GENERATED ALWAYS AS (lower(split_part(destination, '://', 1))) STORED,

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

CREATE UNIQUE INDEX task_dedup ON ferry.task_live (dedup_key) WHERE dedup_key IS NOT NULL;

-- The conditions of the next three indexes end in IS TRUE, so that only statements that say
-- "(state = 'queued') IS TRUE" too can use them.  Otherwise the planner, which may have seen the
-- queue empty, would think the index small, and read it from end to end to find one task by its id
-- and state.  Such statements also say "state = 'queued'", from which the planner knows the
-- partition.

-- The order of claims: higher priority first, then oldest.  ~priority rises as priority falls, so
-- that all columns rise and a place in that order can be compared as a row.  (-priority would
-- overflow.)
CREATE INDEX task_ready ON ferry.task_live ((~priority), run_at, id)
	WHERE (state = 'queued') IS TRUE;

-- The same order within a lane: the queued tasks of one queue, pair of stores and priority.  The
-- pair is one column, so that a scan can end in front of a pair.  Names of stores have no '://'.
CREATE INDEX task_lane ON ferry.task_live
	(queue, ((source_store || '://' || destination_store) COLLATE "C"), (~priority), run_at, id)
	WHERE (state = 'queued') IS TRUE;

CREATE INDEX task_running ON ferry.task_live (node) WHERE (state = 'running') IS TRUE;

CREATE INDEX task_finished ON ferry.task_ended (finished_at); -- for retention

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
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
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
	PRIMARY KEY (task, upload_id)
);

-- A task has one upload at most that it goes on with.
CREATE UNIQUE INDEX upload_current ON ferry.upload (task) WHERE NOT abandoned AND NOT spoiled;

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
	behind bigint; -- a rank
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
			WHERE t.state = 'queued' AND (t.state = 'queued') IS TRUE
			AND t.queue = of_queue
			AND (t.source_store || '://' || t.destination_store) COLLATE "C" = at_pair
			AND ~t.priority > behind
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
				WHERE t.state = 'queued' AND (t.state = 'queued') IS TRUE
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
					WHERE t.state = 'queued' AND (t.state = 'queued') IS TRUE
					AND t.queue = of_queue
					AND (t.source_store || '://' || t.destination_store) COLLATE "C" > at_pair
					AND (t.source_store || '://' || t.destination_store) COLLATE "C" < known.pair
					ORDER BY (t.source_store || '://' || t.destination_store) COLLATE "C"
					LIMIT 1) n;
			END IF;
			open := split_part(at_pair, '://', 1) <> ALL (closed_stores)
			    AND substr(at_pair, strpos(at_pair, '://') + 3) <> ALL (closed_stores);
			behind := -2147483649;
			missing := wanted;
			CONTINUE;
		END IF;
		is_place := false;
		RETURN QUERY
		SELECT (t.queue, at_pair, ~t.priority, t.run_at, t.id)::ferry.place, false
		FROM ferry.task t
		WHERE t.state = 'queued' AND (t.state = 'queued') IS TRUE
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
		behind := lane.rank;
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
-- the stores in "shunned".  The first tasks go to "slots"; the rest are claimed ahead.  "starts"
-- has one start for each of "queues".  Life of a row: queued -> running.
--
-- Claims under a max_transfers wait for each other, so that each counts the tasks that the one
-- before took: every statement in here sees what was committed before it began.  A round takes no
-- more tasks than the narrowest limit leaves.  It looks at more than it wants, because other nodes
-- may be about to take the same tasks.
--
-- "ours" has the tasks that this node runs, so that the index entries of its earlier tasks, which
-- may be dead, need not be read to count them.
--
-- The session keeps the places where its claims ended in the setting ferry.places.  A claim with
-- from_start finds what has come in front of a place since, such as a task that was given back.
CREATE OR REPLACE FUNCTION ferry.claim(claimer bigint, slots integer[], queues text[],
    wanted integer, shunned text[], starts double precision[], starving boolean,
    from_start boolean, ours bigint[])
RETURNS SETOF ferry.task
LANGUAGE plpgsql
SET search_path = pg_catalog
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	taken integer := 0;
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
		before := taken;
		claimed := '{}';
		FOR task IN
			WITH ready AS MATERIALIZED (
				SELECT t.id, f.place
				FROM unnest(found) WITH ORDINALITY
					AS f(queue, pair, rank, run_at, id, place)
				JOIN ferry.task t ON t.id = f.id
				WHERE t.state = 'queued'
				ORDER BY f.place
				LIMIT room
				FOR UPDATE OF t SKIP LOCKED),
			numbered AS MATERIALIZED (
				SELECT id, slots[taken + row_number() OVER (ORDER BY place)] AS slot
				FROM ready)
			UPDATE ferry.task t
			SET state = 'running',
				claim = t.claim + 1,
				node = claimer,
				worker = n.slot,
				started_at = coalesce(t.started_at, now())
			FROM numbered n
			WHERE t.id = n.id
			RETURNING t.*
		LOOP
			RETURN NEXT task;
			taken := taken + 1;
			ours := ours || task.id;
			claimed := claimed || (task.queue,
				task.source_store || '://' || task.destination_store,
				~task.priority, task.run_at, task.id)::ferry.place;
		END LOOP;
		places := ferry.new_places(claimed, seen, places);
		EXIT WHEN taken = before OR (taken - before < room AND cardinality(found) < look);
		IF taken < wanted AND weighted THEN
			begun := ARRAY(
				SELECT u.begun
					+ (SELECT count(*)
					   FROM unnest(claimed) k
					   WHERE k.queue = u.name)
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

-- Queues a task again, with its counters at zero.  Returns whether it was failed or cancelled.
-- Fails if another task that has not ended has the same dedup_key.  The claim rises, so that a
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
				claim = claim + 1,
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
			AND l.state IN ('queued', 'running')
			AND l.id <> t.id;
			-- If there is no other task, it has ended meanwhile: try again.
			IF other IS NOT NULL
			   OR current_setting('transaction_isolation') <> 'read committed' THEN
				RAISE unique_violation USING MESSAGE = format(
					'task %s cannot be queued again: '
					'task %s, which has not ended, has the same dedup_key',
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

-- The uploads that belong to no task that has not ended.  A task that was cancelled less than a
-- minute ago may have a worker that is still removing its upload.
CREATE OR REPLACE VIEW ferry.abandoned AS
SELECT u.task, u.upload_id, u.destination, u.host, u.created_at, t.state,
	u.reap_at AS tried_at, u.reap_error AS error, u.spoiled
FROM ferry.upload u
LEFT JOIN ferry.task t ON t.id = u.task
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
	n.name AS node, t.worker, t.attempt, t.crashes, t.ooms, t.run_at, t.error_class, t.error
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

-- Nodes and operators do the rest.
GRANT SELECT, INSERT, UPDATE, DELETE
	ON ferry.task, ferry.upload, ferry.part, ferry.node, ferry.node_store, ferry.queue
	TO ferry_daemon;
GRANT SELECT
	ON ferry.schema_version, ferry.limits, ferry.abandoned, ferry.progress, ferry.workers
	TO ferry_daemon;

REVOKE ALL ON FUNCTION
	ferry.claim(bigint, integer[], text[], integer, text[], double precision[], boolean,
	    boolean, bigint[]),
	ferry.next_tasks(text[], double precision[], text[], integer, boolean, ferry.place[]),
	ferry.due_tasks(text, text[], integer, boolean, ferry.place[]),
	ferry.new_places(ferry.place[], ferry.place[], ferry.place[]),
	ferry.cancel(bigint),
	ferry.retry(bigint),
	ferry.reprioritise(bigint, integer),
	ferry.pause(text),
	ferry.resume(text),
	ferry.reap()
	FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	ferry.claim(bigint, integer[], text[], integer, text[], double precision[], boolean,
	    boolean, bigint[]),
	ferry.next_tasks(text[], double precision[], text[], integer, boolean, ferry.place[]),
	ferry.due_tasks(text, text[], integer, boolean, ferry.place[]),
	ferry.new_places(ferry.place[], ferry.place[], ferry.place[]),
	ferry.cancel(bigint),
	ferry.retry(bigint),
	ferry.reprioritise(bigint, integer),
	ferry.pause(text),
	ferry.resume(text),
	ferry.reap()
	TO ferry_daemon;
