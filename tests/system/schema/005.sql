-- ferryd schema, version 5: fairness between queues and within them, and what operators say of queues and tasks.

-- weight: tasks that a queue gets in proportion to those of others, NULL: none is said, which counts as 1.  As soon as one of a
-- node's queues has a weight, its claims are divided by weights; until then the priority decides over all of its queues.
-- patience: a task that has been due for longer than this is starving.  Of ten tasks that a node claims, one is the one that
-- has been starving longest, whatever its priority; under weights, of each queue's tasks.
ALTER TABLE ferry.queue
	ADD COLUMN weight integer CONSTRAINT weight_range CHECK (weight BETWEEN 1 AND 1000),
	ADD COLUMN patience interval NOT NULL DEFAULT '10 minutes' CONSTRAINT patience_range CHECK (patience >= '0 s');

-- What a claim has to look at: the limits in force, of a store the smallest that a node states whose lease has not lapsed; and
-- weights.
CREATE OR REPLACE VIEW ferry.limits AS
SELECT 'store' AS kind, s.store AS name, min(s.max_transfers) AS max_transfers, min(s.rate) AS rate, NULL::integer AS weight
FROM ferry.node_store s JOIN ferry.node n ON n.id = s.node
WHERE n.renewed_at + n.lease >= now()
GROUP BY s.store HAVING min(s.max_transfers) IS NOT NULL OR min(s.rate) IS NOT NULL
UNION ALL
SELECT 'queue', q.name, q.max_transfers, q.rate, q.weight FROM ferry.queue q
WHERE q.max_transfers IS NOT NULL OR q.rate IS NOT NULL OR q.weight IS NOT NULL;

-- A lane: the queued tasks of one queue, pair of stores and priority.  Of the columns of the index all rise: rank is ~priority.  A
-- pair is one column so that a scan can end in front of it; the name of a store has no '://'.
DROP FUNCTION ferry.claim(bigint, integer[], text[], integer, text[]), ferry.open_tasks(text[], text[], integer);
DROP INDEX ferry.task_lane;
CREATE INDEX task_lane ON ferry.task_live (queue, ((source_store || '://' || destination_store) COLLATE "C"), (~priority), run_at, id)
	WHERE (state = 'queued') IS TRUE;

CREATE TYPE ferry.place AS (queue text, pair text COLLATE "C", rank integer, run_at timestamptz, id bigint);

-- The first due tasks of a queue, so many of each pair of stores that is not closed, in the order of priority; or so many of each
-- lane of what starves.  With is_place: behind which a lane begins.
--
-- What has been claimed leaves dead entries at the head of its lane until a vacuum takes them away, which it cannot while some
-- transaction is older than they are.  Of lanes that have one of places, those of the queue in order, nothing is looked at up to
-- there; and a look for other lanes ends in front of one that has a place.
CREATE FUNCTION ferry.due_tasks(of_queue text, closed_stores text[], wanted integer, starving boolean, places ferry.place[])
RETURNS TABLE (task ferry.place, is_place boolean) LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	latest timestamptz := now();
	lately timestamptz := now() - interval '1 s'; -- what was inserted since then may not have been committed yet
	lane ferry.place;
	is_known boolean;
	known ferry.place; -- the next of places
	next integer := 1;
	at_pair text COLLATE "C" := '';
	behind bigint; -- a rank
	open boolean := false; -- more of this pair is wanted
	missing integer;
	got integer;
BEGIN
	IF starving THEN
		latest := now() - coalesce((SELECT q.patience FROM ferry.queue q WHERE q.name = of_queue), '10 minutes');
	END IF;
	LOOP
		known := places[next];
		lane := NULL;
		is_known := false;
		IF open THEN
			SELECT of_queue, at_pair, ~t.priority, t.run_at, t.id - 1 INTO lane FROM ferry.task t
			WHERE t.state = 'queued' AND (t.state = 'queued') IS TRUE AND t.queue = of_queue
			AND (t.source_store || '://' || t.destination_store) COLLATE "C" = at_pair
			AND ~t.priority > behind AND ~t.priority < CASE WHEN known.pair = at_pair THEN known.rank ELSE 2147483648 END
			ORDER BY ~t.priority, t.run_at, t.id LIMIT 1;
			IF NOT FOUND AND known.pair = at_pair THEN
				lane := known;
				is_known := true;
				next := next + 1;
			END IF;
		END IF;
		IF lane IS NULL THEN
			WHILE places[next].pair <= at_pair LOOP
				next := next + 1;
			END LOOP;
			known := places[next];
			IF known IS NULL THEN
				SELECT (t.source_store || '://' || t.destination_store) COLLATE "C" INTO at_pair FROM ferry.task t
				WHERE t.state = 'queued' AND (t.state = 'queued') IS TRUE AND t.queue = of_queue
				AND (t.source_store || '://' || t.destination_store) COLLATE "C" > at_pair
				ORDER BY (t.source_store || '://' || t.destination_store) COLLATE "C" LIMIT 1;
				EXIT WHEN NOT FOUND;
			ELSE
				SELECT coalesce(min(n.pair), known.pair) INTO at_pair FROM (
					SELECT (t.source_store || '://' || t.destination_store) COLLATE "C" AS pair FROM ferry.task t
					WHERE t.state = 'queued' AND (t.state = 'queued') IS TRUE AND t.queue = of_queue
					AND (t.source_store || '://' || t.destination_store) COLLATE "C" > at_pair
					AND (t.source_store || '://' || t.destination_store) COLLATE "C" < known.pair
					ORDER BY (t.source_store || '://' || t.destination_store) COLLATE "C" LIMIT 1) n;
			END IF;
			open := split_part(at_pair, '://', 1) <> ALL (closed_stores)
			    AND substr(at_pair, strpos(at_pair, '://') + 3) <> ALL (closed_stores);
			behind := -2147483649;
			missing := wanted;
			CONTINUE;
		END IF;
		is_place := false;
		RETURN QUERY SELECT (t.queue, at_pair, ~t.priority, t.run_at, t.id)::ferry.place, false FROM ferry.task t
		WHERE t.state = 'queued' AND (t.state = 'queued') IS TRUE AND t.queue = of_queue
		AND (t.source_store || '://' || t.destination_store) COLLATE "C" = at_pair AND ~t.priority = lane.rank
		AND (t.run_at, t.id) > (lane.run_at, lane.id) AND t.run_at <= latest
		ORDER BY t.run_at, t.id LIMIT missing;
		GET DIAGNOSTICS got = ROW_COUNT;
		IF NOT starving THEN
			missing := missing - got;
			open := missing > 0;
		END IF;
		behind := lane.rank;
		-- what is inserted from now on can be due before what is scheduled
		IF is_known AND got = 0 AND NOT starving AND lane.run_at < lately OR NOT is_known AND lane.run_at > now() THEN
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

-- What is to be claimed of these queues, best first, so many at most; and the places.  Where none has a weight, by priority over all
-- queues, or first what starves.  Else (starts is not NULL) the same within each queue, and divided by weights: each queue has
-- had its share up to its start, in tasks divided by its weight, so that its k-th task from here on begins at
-- start + (k - 1) / weight; the least come first.  (Start-time fair queueing: Goyal, Vin and Cheng, SIGCOMM 1996.)
CREATE FUNCTION ferry.next_tasks(queues text[], starts double precision[], closed_stores text[], wanted integer, starving boolean,
    places ferry.place[])
RETURNS TABLE (task ferry.place, is_place boolean) LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN QUERY
	WITH known AS MATERIALIZED (SELECT u.queue, array_agg(u ORDER BY u) AS places FROM unnest(places) u GROUP BY u.queue),
	looked AS MATERIALIZED (
		SELECT q.place, q.start, coalesce(c.weight, 1)::double precision AS weight, s.starving, d.task, d.is_place
		FROM unnest(queues, starts) WITH ORDINALITY AS q(name, start, place) LEFT JOIN ferry.queue c ON c.name = q.name
		LEFT JOIN known k ON k.queue = q.name
		CROSS JOIN unnest(CASE WHEN starving THEN '{t,f}' ELSE '{f}' END::boolean[]) AS s(starving)
		CROSS JOIN LATERAL ferry.due_tasks(q.name, closed_stores, wanted, s.starving, k.places) d),
	once AS (
		SELECT DISTINCT ON ((l.task).id) l.* FROM looked l WHERE NOT l.is_place ORDER BY (l.task).id, l.starving DESC),
	line AS (
		SELECT o.*, CASE WHEN o.starving THEN NULL ELSE (o.task).rank END AS rank FROM once o),
	turn AS (
		SELECT l.*, row_number() OVER (PARTITION BY CASE WHEN starts IS NOT NULL THEN l.place END
			ORDER BY NOT l.starving, l.rank, (l.task).run_at, (l.task).id) AS k FROM line l)
	(SELECT t.task, false FROM turn t ORDER BY coalesce(t.start + (t.k - 1) / t.weight, 0), CASE WHEN starts IS NOT NULL THEN t.place END,
		t.k LIMIT wanted)
	UNION ALL SELECT l.task, true FROM looked l WHERE l.is_place;
END $$;

-- The places from here on: the last task that was claimed of a lane; or what was seen of it; or as before.  So many at most, those
-- of lanes that were looked at first.
CREATE FUNCTION ferry.new_places(claimed ferry.place[], seen ferry.place[], places ferry.place[]) RETURNS ferry.place[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN (SELECT array_agg(l.p ORDER BY l.p) FROM (
		SELECT n.p FROM (
			SELECT DISTINCT ON ((a.p).queue, (a.p).pair, (a.p).rank) a.p, a.age FROM (
				SELECT c::ferry.place AS p, 0 AS age FROM unnest(claimed) c
				UNION ALL SELECT s::ferry.place, 1 FROM unnest(seen) s
				UNION ALL SELECT o::ferry.place, 2 FROM unnest(places) o) a
			ORDER BY (a.p).queue, (a.p).pair, (a.p).rank, a.age, (a.p).run_at DESC, (a.p).id DESC) n
		ORDER BY n.age LIMIT 256) l);
END $$;

-- Claims at most so many tasks for a node's slots, within all limits, of none of the shunned stores; where one of queues has a
-- weight, divided by weights, with starts, one for each of queues.  Claims under a limit of transfers wait for each other, so that
-- each counts what the one before has taken: every statement in here sees what was committed before it began.  A round takes
-- no more than the narrowest limit leaves.  More is looked at than is wanted, because others may be about to take the same.
-- Of this node's tasks only ours can be running: the entries of those that it had before are not walked over.
--
-- The session remembers the places where its claims ended, in the setting ferry.places.  What has come in front of them meanwhile
-- (a task that was given back) is found by a claim from the start.
CREATE FUNCTION ferry.claim(claimer bigint, slots integer[], queues text[], wanted integer, shunned text[],
    starts double precision[], starving boolean, from_start boolean, ours bigint[])
RETURNS SETOF ferry.task LANGUAGE plpgsql SET search_path = pg_catalog SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	taken integer := 0;
	before integer;
	room integer := wanted;
	look integer;
	closed text[] := shunned;
	served text[];
	limited boolean := EXISTS (SELECT FROM ferry.limits l WHERE l.max_transfers IS NOT NULL);
	weighted boolean := EXISTS (SELECT FROM ferry.queue q WHERE q.name = ANY (queues) AND q.weight IS NOT NULL);
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
	served := ARRAY(SELECT u FROM unnest(queues) WITH ORDINALITY AS a(u, place)
		WHERE NOT EXISTS (SELECT FROM ferry.queue q WHERE q.name = u AND NOT q.enabled) ORDER BY place);
	WHILE taken < wanted LOOP
		room := wanted - taken;
		IF limited THEN
			WITH used AS MATERIALIZED (
				SELECT a.queue, a.source_store, a.destination_store, count(*) AS tasks FROM (
					SELECT t.queue, t.source_store, t.destination_store FROM ferry.task t
					WHERE t.state = 'running' AND t.id = ANY (ours) AND t.node = claimer
					UNION ALL
					SELECT t.queue, t.source_store, t.destination_store FROM ferry.task t
					WHERE t.state = 'running' AND (t.state = 'running') IS TRUE AND t.node < claimer
					UNION ALL
					SELECT t.queue, t.source_store, t.destination_store FROM ferry.task t
					WHERE t.state = 'running' AND (t.state = 'running') IS TRUE AND t.node > claimer) a
				GROUP BY 1, 2, 3),
			room AS MATERIALIZED (
				SELECT l.kind, l.name, l.max_transfers - coalesce((SELECT sum(u.tasks) FROM used u
					WHERE l.kind = 'queue' AND u.queue = l.name
					OR l.kind = 'store' AND l.name IN (u.source_store, u.destination_store)), 0) AS left
				FROM ferry.limits l
				WHERE l.max_transfers IS NOT NULL AND (l.kind = 'store' OR l.name = ANY (queues)))
			SELECT least(wanted - taken, (SELECT min(r.left) FROM room r WHERE r.left > 0)),
			       shunned || ARRAY(SELECT r.name FROM room r WHERE r.kind = 'store' AND r.left <= 0),
			       ARRAY(SELECT u FROM unnest(served) WITH ORDINALITY AS a(u, place)
			             WHERE NOT EXISTS (SELECT FROM room r WHERE r.kind = 'queue' AND r.name = u AND r.left <= 0)
			             ORDER BY place)
			INTO room, closed, served;
		END IF;
		look := 2 * room + 8;
		SELECT array_agg(n.task) FILTER (WHERE NOT n.is_place), array_agg(n.task) FILTER (WHERE n.is_place) INTO found, seen
		FROM ferry.next_tasks(served, CASE WHEN weighted THEN ARRAY(SELECT begun[array_position(queues, u)]
			FROM unnest(served) WITH ORDINALITY AS a(u, place) ORDER BY place) END, closed, look, starving,
		    CASE WHEN taken > 0 OR NOT from_start THEN places END) n;
		before := taken;
		claimed := '{}';
		FOR task IN
			WITH ready AS MATERIALIZED (
				SELECT t.id, f.place FROM unnest(found) WITH ORDINALITY AS f(queue, pair, rank, run_at, id, place)
				JOIN ferry.task t ON t.id = f.id
				WHERE t.state = 'queued' ORDER BY f.place LIMIT room FOR UPDATE OF t SKIP LOCKED),
			numbered AS MATERIALIZED (SELECT id, slots[taken + row_number() OVER (ORDER BY place)] AS slot FROM ready)
			UPDATE ferry.task t SET state = 'running', claim = t.claim + 1, node = claimer, worker = n.slot,
			    started_at = coalesce(t.started_at, now())
			FROM numbered n WHERE t.id = n.id RETURNING t.*
		LOOP
			RETURN NEXT task;
			taken := taken + 1;
			ours := ours || task.id;
			claimed := claimed || (task.queue, task.source_store || '://' || task.destination_store, ~task.priority,
			    task.run_at, task.id)::ferry.place;
		END LOOP;
		places := ferry.new_places(claimed, seen, places);
		EXIT WHEN taken = before OR (taken - before < room AND cardinality(found) < look);
		IF taken < wanted AND weighted THEN
			begun := ARRAY(SELECT u.begun + (SELECT count(*) FROM unnest(claimed) k WHERE k.queue = u.name)
				    / coalesce(c.weight, 1)::double precision
				FROM unnest(queues, begun) WITH ORDINALITY AS u(name, begun, place)
				LEFT JOIN ferry.queue c ON c.name = u.name ORDER BY u.place);
		END IF;
	END LOOP;
	PERFORM set_config('ferry.places', places::text, false);
	-- the others have to make room in the rates that these will use
	IF taken > 0 AND EXISTS (SELECT FROM ferry.limits l WHERE l.rate IS NOT NULL) THEN
		PERFORM pg_notify('ferry_limit', '');
	END IF;
END $$;

-- A paused queue gives out no more tasks; those that run go on.  The row of a queue that has none is made.  Both return whether
-- that changed anything.
CREATE FUNCTION ferry.pause(queue_name text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	INSERT INTO ferry.queue AS q (name, enabled) VALUES (queue_name, false)
	ON CONFLICT (name) DO UPDATE SET enabled = false WHERE q.enabled;
	RETURN FOUND;
END $$;

CREATE FUNCTION ferry.resume(queue_name text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	UPDATE ferry.queue SET enabled = true WHERE name = queue_name AND NOT enabled;
	RETURN FOUND;
END $$;

-- A queued task goes to its new place at once.  A running one keeps its worker; the priority counts if it is queued again.
-- Returns whether there was one that has not ended.
CREATE FUNCTION ferry.reprioritise(task_id bigint, new_priority integer) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	LOOP
		BEGIN
			UPDATE ferry.task SET priority = new_priority WHERE id = task_id AND state IN ('queued', 'running');
			IF NOT FOUND THEN RETURN false; END IF;
			PERFORM pg_notify('ferry_task', '');
			RETURN true;
		EXCEPTION WHEN serialization_failure THEN
			IF current_setting('transaction_isolation') <> 'read committed' THEN RAISE; END IF;
		END;
	END LOOP;
END $$;

-- As before, but for a dedup_key that another task has by now, which is said in so many words.
CREATE OR REPLACE FUNCTION ferry.retry(task_id bigint) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	other bigint;
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
		WHEN unique_violation THEN
			SELECT l.id INTO other FROM ferry.task t JOIN ferry.task l ON l.dedup_key = t.dedup_key
			WHERE t.id = task_id AND l.state IN ('queued', 'running') AND l.id <> t.id;
			-- where there is none, it has ended meanwhile
			IF other IS NOT NULL OR current_setting('transaction_isolation') <> 'read committed' THEN
				RAISE unique_violation USING MESSAGE = format('task %s cannot be queued again: task %s, which has not ended, '
				    'has the same dedup_key', task_id, coalesce(other::text, 'another'));
			END IF;
		END;
	END LOOP;
END $$;

REVOKE ALL ON FUNCTION ferry.claim(bigint, integer[], text[], integer, text[], double precision[], boolean, boolean, bigint[]),
    ferry.due_tasks(text, text[], integer, boolean, ferry.place[]),
    ferry.next_tasks(text[], double precision[], text[], integer, boolean, ferry.place[]),
    ferry.new_places(ferry.place[], ferry.place[], ferry.place[]),
    ferry.pause(text), ferry.resume(text), ferry.reprioritise(bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ferry.claim(bigint, integer[], text[], integer, text[], double precision[], boolean, boolean, bigint[]),
    ferry.due_tasks(text, text[], integer, boolean, ferry.place[]),
    ferry.next_tasks(text[], double precision[], text[], integer, boolean, ferry.place[]),
    ferry.new_places(ferry.place[], ferry.place[], ferry.place[]),
    ferry.pause(text), ferry.resume(text), ferry.reprioritise(bigint, integer) TO ferry_daemon;
