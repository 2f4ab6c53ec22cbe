-- Version 2: limits that hold over all nodes.

CREATE TABLE ferry.node_store (
	node           bigint NOT NULL REFERENCES ferry.node ON DELETE CASCADE,
	store          text NOT NULL,
	max_transfers  integer,
	rate           bigint,
	PRIMARY KEY (node, store),
	CONSTRAINT max_transfers_range CHECK (max_transfers > 0),
	CONSTRAINT rate_range CHECK (rate > 0)
);

ALTER TABLE ferry.queue
	ADD COLUMN max_transfers integer CONSTRAINT max_transfers_range CHECK (max_transfers > 0),
	ADD COLUMN rate bigint CONSTRAINT rate_range CHECK (rate > 0);
