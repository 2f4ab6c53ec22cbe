-- Ships one object: psql -v source=ceph://uploads/a -v destination=cos://archive-1250000000/a -f ship.sql
\set ON_ERROR_STOP on
\set QUIET on
\pset tuples_only on
\pset format unaligned

-- The task commits with the application's own row, or not at all.
BEGIN;
INSERT INTO ferry.task (source, destination)
VALUES (:'source', :'destination')
RETURNING id AS task \gset
INSERT INTO upload (key, task)
VALUES (:'source', :task);
COMMIT;

-- Each look is a transaction of its own, so that waiting holds nothing in the database.
SELECT set_config('shop.task', :'task', false) \g /dev/null
DO $$
BEGIN
	LOOP
		PERFORM FROM ferry.task
		WHERE id = current_setting('shop.task')::bigint
		AND state IN ('done', 'failed', 'cancelled');
		EXIT WHEN FOUND;
		PERFORM pg_sleep(0.5);
		COMMIT;
	END LOOP;
END $$;

SELECT format('task %s %s: %s', id, state,
	CASE state WHEN 'done' THEN format('%s bytes, verified by %s', bytes_done, verified_by)
		ELSE error END) AS report,
	state = 'done' AS is_done
FROM ferry.task
WHERE id = :task \gset
\echo :report
\if :is_done
\else
	DO $$ BEGIN RAISE 'the object was not shipped'; END $$;
\endif
