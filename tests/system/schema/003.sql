-- ferryd schema, version 3.

-- A row comes before its upload.  Until Initiate has been answered, initiated is false and upload_id stands in for the one that
-- the store will give.
ALTER TABLE ferry.upload ADD COLUMN initiated boolean NOT NULL DEFAULT true;

-- Abandoned uploads: when a reaper last tried, and why it could not.  A temporary file can be removed on its own host only.
ALTER TABLE ferry.upload
	ADD COLUMN host text,
	ADD COLUMN reap_at timestamptz,
	ADD COLUMN reap_error text;

-- What no live task owns.  A task that was cancelled a moment ago may still have a worker that is cleaning up.
CREATE VIEW ferry.abandoned AS
SELECT u.task, u.upload_id, u.destination, u.host, u.created_at, t.state, u.reap_at AS tried_at, u.reap_error AS error
FROM ferry.upload u LEFT JOIN ferry.task t ON t.id = u.task
WHERE u.abandoned OR t.id IS NULL OR t.state IN ('done', 'failed')
OR (t.state = 'cancelled' AND coalesce(t.finished_at, now()) < now() - interval '1 minute');

-- Asks the daemons to abort what is abandoned, now.  Returns how much that is.
CREATE FUNCTION ferry.reap() RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	found bigint;
BEGIN
	UPDATE ferry.upload u SET abandoned = true, reap_at = NULL, reap_error = NULL
	FROM (SELECT task, upload_id FROM ferry.abandoned) a WHERE u.task = a.task AND u.upload_id = a.upload_id;
	GET DIAGNOSTICS found = ROW_COUNT;
	PERFORM pg_notify('ferry_reap', '');
	RETURN found;
END $$;

GRANT SELECT ON ferry.abandoned TO ferry_daemon;
REVOKE ALL ON FUNCTION ferry.reap() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ferry.reap() TO ferry_daemon;
