-- Version 6: rows without metadata cost no call of ferry.metadata_is_valid().

ALTER FUNCTION ferry.metadata_is_valid(jsonb) STRICT;
