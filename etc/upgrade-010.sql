-- Version 10: a warning about what of headers and metadata a task did not carry, and metadata as
-- large as a store with large heads of requests takes it.

ALTER TABLE ferry.task ADD COLUMN warning text;

CREATE OR REPLACE FUNCTION ferry.metadata_is_valid(m jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog AS $$
	SELECT CASE
		WHEN jsonb_typeof(m) <> 'object' THEN false
		ELSE octet_length(m::text) <= 8000 AND coalesce((
			SELECT bool_and(jsonb_typeof(value) = 'string'
				AND key ~ '^[A-Za-z0-9][A-Za-z0-9-]{0,63}$'
				AND (value #>> '{}') !~ '[[:cntrl:]]')
			FROM jsonb_each(m)), true)
	END
$$;
