-- ferryd schema, version 6: what a task costs that nobody gave metadata.

-- Checked whenever a row is written, so three times in a task's life.  Of NULL, which is nearly every row's, it is not called.
ALTER FUNCTION ferry.metadata_is_valid(jsonb) STRICT;
