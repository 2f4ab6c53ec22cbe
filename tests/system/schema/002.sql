-- ferryd schema, version 2.

-- Limits that hold over all nodes.

-- What each running ferryd's configuration says of its stores, so that every node knows of every limit.  NULL: no limit.
CREATE TABLE ferry.node_store (
	node           bigint NOT NULL REFERENCES ferry.node ON DELETE CASCADE,
	store          text NOT NULL,
	max_transfers  integer,
	rate           bigint,
	PRIMARY KEY (node, store),
	CONSTRAINT max_transfers_range CHECK (max_transfers > 0),
	CONSTRAINT rate_range CHECK (rate > 0)
);

-- Transfers at once and bytes a second over all nodes.  NULL: no limit.
ALTER TABLE ferry.queue
	ADD COLUMN max_transfers integer CONSTRAINT max_transfers_range CHECK (max_transfers > 0),
	ADD COLUMN rate bigint CONSTRAINT rate_range CHECK (rate > 0);

CREATE FUNCTION ferry.limits_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	PERFORM pg_notify('ferry_limit', '');
	RETURN NULL;
END $$;
CREATE TRIGGER limits_changed AFTER INSERT OR UPDATE OR DELETE ON ferry.node_store
	FOR EACH STATEMENT EXECUTE FUNCTION ferry.limits_changed();
CREATE TRIGGER limits_changed AFTER INSERT OR UPDATE OR DELETE ON ferry.queue
	FOR EACH STATEMENT EXECUTE FUNCTION ferry.limits_changed();

-- The limits in force: of a store the smallest that a node states whose lease has not lapsed.
CREATE VIEW ferry.limits AS
SELECT 'store' AS kind, s.store AS name, min(s.max_transfers) AS max_transfers, min(s.rate) AS rate
FROM ferry.node_store s JOIN ferry.node n ON n.id = s.node
WHERE n.renewed_at + n.lease >= now()
GROUP BY s.store HAVING min(s.max_transfers) IS NOT NULL OR min(s.rate) IS NOT NULL
UNION ALL
SELECT 'queue', q.name, q.max_transfers, q.rate FROM ferry.queue q
WHERE q.max_transfers IS NOT NULL OR q.rate IS NOT NULL;

-- The same order as task_ready, apart for each queue and pair of stores: a claim that must leave some of them alone passes
-- over all their tasks at once.
CREATE INDEX task_lane ON ferry.task (queue, source_store, destination_store, priority DESC, run_at, id)
	WHERE state = 'queued';

-- The first tasks of the lanes of these queues that use none of the closed stores.
CREATE FUNCTION ferry.open_tasks(queues text[], closed_stores text[], wanted integer) RETURNS SETOF bigint
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	WITH RECURSIVE lane(queue, source, destination) AS (
		SELECT q.name, f.source_store, f.destination_store
		FROM unnest(queues) AS q(name) CROSS JOIN LATERAL (
			SELECT t.source_store, t.destination_store FROM ferry.task t
			WHERE t.state = 'queued' AND t.queue = q.name
			ORDER BY t.source_store, t.destination_store LIMIT 1) f
		UNION ALL
		SELECT l.queue, f.source_store, f.destination_store
		FROM lane l CROSS JOIN LATERAL (
			SELECT t.source_store, t.destination_store FROM ferry.task t
			WHERE t.state = 'queued' AND t.queue = l.queue
			AND (t.source_store, t.destination_store) > (l.source, l.destination)
			ORDER BY t.source_store, t.destination_store LIMIT 1) f)
	SELECT f.id FROM lane l CROSS JOIN LATERAL (
		SELECT t.id, t.priority, t.run_at FROM ferry.task t
		WHERE t.state = 'queued' AND t.queue = l.queue AND t.source_store = l.source
		AND t.destination_store = l.destination AND t.run_at <= now()
		ORDER BY t.priority DESC, t.run_at, t.id LIMIT wanted) f
	WHERE l.source <> ALL (closed_stores) AND l.destination <> ALL (closed_stores)
	ORDER BY f.priority DESC, f.run_at, f.id LIMIT wanted
$$;

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

GRANT SELECT, INSERT, UPDATE, DELETE ON ferry.node_store TO ferry_daemon;
GRANT SELECT ON ferry.limits TO ferry_producer, ferry_daemon;
REVOKE ALL ON FUNCTION ferry.claim(bigint, integer[], text[], integer, text[]),
    ferry.open_tasks(text[], text[], integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ferry.claim(bigint, integer[], text[], integer, text[]),
    ferry.open_tasks(text[], text[], integer) TO ferry_daemon;
