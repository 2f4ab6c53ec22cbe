-- Version 8: what no statement used is gone.

-- No statement looks for abandoned uploads by this index: see the view ferry.abandoned.
DROP INDEX ferry.upload_abandoned;

-- Without the case of NULL, with which a STRICT function is not called.
CREATE OR REPLACE FUNCTION ferry.metadata_is_valid(m jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog AS $$
	SELECT CASE
		WHEN jsonb_typeof(m) <> 'object' THEN false
		ELSE octet_length(m::text) <= 3000 AND coalesce((
			SELECT bool_and(jsonb_typeof(value) = 'string'
				AND key ~ '^[A-Za-z0-9][A-Za-z0-9-]{0,63}$'
				AND (value #>> '{}') !~ '[[:cntrl:]]')
			FROM jsonb_each(m)), true)
	END
$$;
