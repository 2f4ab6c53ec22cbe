-- Version 12: a node says which queues it serves, and ferry.progress says in words what a task waits
-- for.

ALTER TABLE ferry.node ADD COLUMN queues text[];

CREATE TYPE ferry.alive AS (
	id       bigint,
	queues   text[], -- that the node serves; NULL: not known
	stores   text[],
	workers  bigint, -- its processes, as of its last renewal
	tasks    bigint  -- that it has
);
CREATE TYPE ferry.reached AS (
	kind           text,
	name           text,
	max_transfers  integer
);
CREATE TYPE ferry.writer AS (
	id    xid,
	name  text
);

-- Part 2 of schema.sql makes the view again, with waiting_for as text.
DROP VIEW IF EXISTS ferry.progress;
