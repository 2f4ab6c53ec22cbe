-- Version 14: stores that are in trouble are held.

CREATE TABLE ferry.hold (
	node         bigint NOT NULL REFERENCES ferry.node ON DELETE CASCADE,
	store        text NOT NULL,
	held_as      text NOT NULL,
	state        text NOT NULL,
	trouble      text NOT NULL,
	error_class  text NOT NULL,
	reason       text NOT NULL,
	since        timestamptz NOT NULL,
	PRIMARY KEY (node, store, held_as)
);
