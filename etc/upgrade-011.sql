-- Version 11: one task at most runs for a destination, and dedup_key is unique among the tasks that
-- have not begun.

ALTER TABLE ferry.task ADD COLUMN behind boolean NOT NULL DEFAULT false;

CREATE FUNCTION ferry.object(store text, destination text) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN pg_catalog.hashtextextended(
	store OPERATOR(pg_catalog.||)
	pg_catalog.substr(destination, pg_catalog.strpos(destination, '://')), 0);

-- Of the tasks that run for one destination the oldest goes on.  The others are begun again after
-- it: their workers find that the rows are not theirs any more.
UPDATE ferry.task t
SET state = 'queued', node = NULL, worker = NULL
WHERE t.state = 'running'
AND EXISTS (
	SELECT
	FROM ferry.task o
	WHERE o.state = 'running'
	AND o.id < t.id
	AND ferry.object(o.destination_store, o.destination)
		= ferry.object(t.destination_store, t.destination));

DROP INDEX ferry.task_dedup;
CREATE UNIQUE INDEX task_dedup ON ferry.task_live (dedup_key)
	WHERE dedup_key IS NOT NULL AND started_at IS NULL;
CREATE INDEX task_object ON ferry.task_live
	((ferry.object(destination_store, destination)), (~id));
DROP INDEX ferry.task_ready;
CREATE INDEX task_ready ON ferry.task_live ((~priority), run_at, id)
	WHERE (state = 'queued' AND NOT behind) IS TRUE;
DROP INDEX ferry.task_lane;
CREATE INDEX task_lane ON ferry.task_live
	(queue, ((source_store || '://' || destination_store) COLLATE "C"), (~priority), run_at, id)
	WHERE (state = 'queued' AND NOT behind) IS TRUE;
CREATE INDEX task_behind ON ferry.task_live
	((ferry.object(destination_store, destination)), (~id))
	WHERE (state = 'queued' AND behind) IS TRUE;
CREATE UNIQUE INDEX task_object_running ON ferry.task_live
	((ferry.object(destination_store, destination)))
	WHERE (state = 'running') IS NOT FALSE;

CREATE TABLE ferry.lingering (
	claim   bigint PRIMARY KEY,
	task    bigint NOT NULL,
	node    bigint NOT NULL,
	object  bigint NOT NULL
);
CREATE INDEX lingering_object ON ferry.lingering (object);
