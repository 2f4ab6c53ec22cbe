-- ferryd schema, version 7: an object that a store has made other than it was sent is remembered until it is gone.

-- Such a row is about the object at destination, if its ETag (upload_id) is still that one.
ALTER TABLE ferry.upload ADD COLUMN spoiled boolean NOT NULL DEFAULT false;

DROP INDEX ferry.upload_current;
CREATE UNIQUE INDEX upload_current ON ferry.upload (task) WHERE NOT abandoned AND NOT spoiled;

CREATE OR REPLACE VIEW ferry.abandoned AS
SELECT u.task, u.upload_id, u.destination, u.host, u.created_at, t.state, u.reap_at AS tried_at, u.reap_error AS error, u.spoiled
FROM ferry.upload u LEFT JOIN ferry.task t ON t.id = u.task
WHERE u.abandoned OR t.id IS NULL OR t.state IN ('done', 'failed')
OR (t.state = 'cancelled' AND coalesce(t.finished_at, now()) < now() - interval '1 minute');
