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

-- Of the lanes of these queues that use none of the closed stores, the tasks that starve, the longest first.
CREATE FUNCTION ferry.starving_tasks(queues text[], closed_stores text[], wanted integer) RETURNS SETOF bigint
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	WITH RECURSIVE lane(queue, source, destination, priority) AS (
		SELECT q.name, f.source_store, f.destination_store, f.priority
		FROM unnest(queues) AS q(name) CROSS JOIN LATERAL (
			SELECT t.source_store, t.destination_store, t.priority FROM ferry.task t
			WHERE t.state = 'queued' AND t.queue = q.name
			ORDER BY t.source_store, t.destination_store, t.priority DESC LIMIT 1) f
		UNION ALL
		SELECT l.queue, f.source_store, f.destination_store, f.priority
		FROM lane l CROSS JOIN LATERAL (
			(SELECT t.source_store, t.destination_store, t.priority FROM ferry.task t
			WHERE t.state = 'queued' AND t.queue = l.queue AND t.source_store = l.source
			AND t.destination_store = l.destination AND t.priority < l.priority
			ORDER BY t.priority DESC LIMIT 1)
			UNION ALL
			(SELECT t.source_store, t.destination_store, t.priority FROM ferry.task t
			WHERE t.state = 'queued' AND t.queue = l.queue
			AND (t.source_store, t.destination_store) > (l.source, l.destination)
			ORDER BY t.source_store, t.destination_store, t.priority DESC LIMIT 1) LIMIT 1) f)
	SELECT f.id FROM lane l CROSS JOIN LATERAL (
		SELECT t.id, t.run_at FROM ferry.task t
		WHERE t.state = 'queued' AND t.queue = l.queue AND t.source_store = l.source
		AND t.destination_store = l.destination AND t.priority = l.priority
		AND t.run_at <= now() - coalesce((SELECT q.patience FROM ferry.queue q WHERE q.name = l.queue), '10 minutes')
		ORDER BY t.run_at, t.id LIMIT wanted) f
	WHERE l.source <> ALL (closed_stores) AND l.destination <> ALL (closed_stores)
	ORDER BY f.run_at, f.id LIMIT wanted
$$;

-- What is to be claimed of these queues, best first: by priority, or first what starves.
CREATE FUNCTION ferry.next_tasks(queues text[], closed_stores text[], wanted integer, starving boolean) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
	first bigint[] := '{}';
BEGIN
	IF starving THEN
		first := ARRAY(SELECT ferry.starving_tasks(queues, closed_stores, wanted));
		RETURN QUERY SELECT unnest(first);
	END IF;
	IF cardinality(first) < wanted THEN
		RETURN QUERY SELECT t.id FROM ferry.open_tasks(queues, closed_stores, wanted) WITH ORDINALITY AS t(id, place)
		WHERE t.id <> ALL (first) ORDER BY t.place;
	END IF;
END $$;

-- The same divided by weights.  Each queue has had its share up to its start, in tasks divided by its weight, so that its k-th
-- task from here on begins at start + (k - 1) / weight; the least come first.  (Start-time fair queueing: Goyal, Vin and Cheng,
-- SIGCOMM 1996.)
CREATE FUNCTION ferry.fair_tasks(queues text[], starts double precision[], closed_stores text[], wanted integer,
    starving boolean) RETURNS SETOF bigint LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	SELECT f.id FROM unnest(queues, starts) WITH ORDINALITY AS q(name, start, place) LEFT JOIN ferry.queue c ON c.name = q.name
	CROSS JOIN LATERAL ferry.next_tasks(ARRAY[q.name], closed_stores, wanted, starving) WITH ORDINALITY AS f(id, place)
	ORDER BY q.start + (f.place - 1) / coalesce(c.weight, 1)::double precision, q.place, f.place LIMIT wanted
$$;

-- Claims at most so many tasks for a node's slots, within all limits, of none of the shunned stores; where one of queues has a
-- weight, divided by weights, with starts, one for each of queues.  Claims under a limit of transfers wait for each other, so that
-- each counts what the one before has taken: every statement in here sees what was committed before it began.  A round takes
-- no more than the narrowest limit leaves.  More is looked at than is wanted, because others may be about to take the same.
DROP FUNCTION ferry.claim(bigint, integer[], text[], integer, text[]);
CREATE FUNCTION ferry.claim(claimer bigint, slots integer[], queues text[], wanted integer, shunned text[],
    starts double precision[], starving boolean)
RETURNS SETOF ferry.task LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	taken integer := 0;
	got integer;
	room integer;
	closed text[];
	served text[];
	weighted boolean := EXISTS (SELECT FROM ferry.queue q WHERE q.name = ANY (queues) AND q.weight IS NOT NULL);
	begun double precision[] := starts;
	found bigint[];
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
		       ARRAY(SELECT u FROM unnest(queues) WITH ORDINALITY AS a(u, place)
		             WHERE NOT EXISTS (SELECT FROM ferry.queue q WHERE q.name = u AND NOT q.enabled)
		             AND NOT EXISTS (SELECT FROM room r WHERE r.kind = 'queue' AND r.name = u AND r.left <= 0)
		             ORDER BY place)
		INTO room, closed, served;
		IF NOT weighted THEN
			found := ARRAY(SELECT ferry.next_tasks(served, closed, 2 * room + 8, starving));
		ELSE
			found := ARRAY(SELECT ferry.fair_tasks(served, ARRAY(SELECT begun[array_position(queues, u)]
				FROM unnest(served) WITH ORDINALITY AS a(u, place) ORDER BY place), closed, 2 * room + 8, starving));
		END IF;
		RETURN QUERY
		WITH ready AS MATERIALIZED (
			SELECT t.id, f.place FROM unnest(found) WITH ORDINALITY AS f(id, place) JOIN ferry.task t ON t.id = f.id
			WHERE t.state = 'queued' ORDER BY f.place LIMIT room FOR UPDATE OF t SKIP LOCKED),
		numbered AS MATERIALIZED (SELECT id, slots[taken + row_number() OVER (ORDER BY place)] AS slot FROM ready)
		UPDATE ferry.task t SET state = 'running', claim = t.claim + 1, node = claimer, worker = n.slot,
		    started_at = coalesce(t.started_at, now())
		FROM numbered n WHERE t.id = n.id RETURNING t.*;
		GET DIAGNOSTICS got = ROW_COUNT;
		taken := taken + got;
		EXIT WHEN got = 0 OR (got < room AND cardinality(found) < 2 * room + 8);
		IF taken < wanted AND weighted THEN
			begun := ARRAY(SELECT b.begun + b.tasks / coalesce(c.weight, 1)::double precision FROM (
				SELECT u.name, u.begun, u.place, (SELECT count(*) FROM ferry.task t
					WHERE t.id = ANY (found) AND t.state = 'running' AND t.node = claimer AND t.queue = u.name) AS tasks
				FROM unnest(queues, begun) WITH ORDINALITY AS u(name, begun, place)) b
			    LEFT JOIN ferry.queue c ON c.name = b.name ORDER BY b.place);
		END IF;
	END LOOP;
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

REVOKE ALL ON FUNCTION ferry.claim(bigint, integer[], text[], integer, text[], double precision[], boolean),
    ferry.starving_tasks(text[], text[], integer), ferry.next_tasks(text[], text[], integer, boolean),
    ferry.fair_tasks(text[], double precision[], text[], integer, boolean),
    ferry.pause(text), ferry.resume(text), ferry.reprioritise(bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ferry.claim(bigint, integer[], text[], integer, text[], double precision[], boolean),
    ferry.starving_tasks(text[], text[], integer), ferry.next_tasks(text[], text[], integer, boolean),
    ferry.fair_tasks(text[], double precision[], text[], integer, boolean),
    ferry.pause(text), ferry.resume(text), ferry.reprioritise(bigint, integer) TO ferry_daemon;
