-- Version 15: one index has the line of each destination, claims wait for each other by a table that
-- no other role can lock, and schema_version says which programs a schema serves.
-- Locks: ferry.task and ferry.queue, until an index of the tasks that wait or run is built anew (a
-- second for about 300,000 of them).

ALTER TABLE ferry.schema_version ADD COLUMN compatible_from integer;
UPDATE ferry.schema_version SET compatible_from = version;
ALTER TABLE ferry.schema_version ALTER COLUMN compatible_from SET NOT NULL;

CREATE FUNCTION ferry.turn(state ferry.state, id bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN state OPERATOR(pg_catalog.=) 'running' THEN '-9223372036854775808' ELSE id END;
DROP INDEX ferry.task_object;
DROP INDEX ferry.task_object_running;
CREATE UNIQUE INDEX task_object ON ferry.task_live
	((ferry.object(destination_store, destination)), (ferry.turn(state, id)));

CREATE TABLE ferry.claim_lock ();

ALTER FUNCTION ferry.metadata_is_valid(jsonb) SET search_path = pg_catalog, pg_temp;

UPDATE ferry.queue SET patience = '100 years' WHERE patience > '100 years';
ALTER TABLE ferry.queue DROP CONSTRAINT patience_range;
ALTER TABLE ferry.queue ADD CONSTRAINT patience_range
	CHECK (patience BETWEEN '0 s' AND '100 years');
