-- Version 5: fairness between queues and within them.

ALTER TABLE ferry.queue
	ADD COLUMN weight integer CONSTRAINT weight_range CHECK (weight BETWEEN 1 AND 1000),
	ADD COLUMN patience interval NOT NULL DEFAULT '10 minutes'
		CONSTRAINT patience_range CHECK (patience >= '0 s');

CREATE TYPE ferry.place AS (
	queue   text,
	pair    text COLLATE "C",
	rank    integer,
	run_at  timestamptz,
	id      bigint
);

DROP FUNCTION IF EXISTS
	ferry.claim(bigint, integer[], text[], integer, text[]),
	ferry.open_tasks(text[], text[], integer);
DROP INDEX IF EXISTS ferry.task_lane;
CREATE INDEX task_lane ON ferry.task_live
	(queue, ((source_store || '://' || destination_store) COLLATE "C"), (~priority), run_at, id)
	WHERE (state = 'queued') IS TRUE;
