-- Version 9: numbers that fence are drawn at random, so that none comes twice after a restore, a
-- fail-over that loses transactions, or a TRUNCATE.

ALTER TABLE ferry.node ALTER COLUMN id DROP IDENTITY;

-- ferry.retry() gives first_claim to tasks that have ended.
ALTER TABLE ferry.task ADD COLUMN first_claim bigint;
UPDATE ferry.task
SET first_claim = claim
WHERE state IN ('queued', 'running')
AND claim <> 0;

ALTER TABLE ferry.upload ADD COLUMN first_claim bigint;
UPDATE ferry.upload u
SET first_claim = coalesce((SELECT t.first_claim FROM ferry.task t WHERE t.id = u.task), 0);
ALTER TABLE ferry.upload ALTER COLUMN first_claim SET NOT NULL;
DROP INDEX ferry.upload_current;
CREATE UNIQUE INDEX upload_current ON ferry.upload (task, first_claim)
	WHERE NOT abandoned AND NOT spoiled;

-- Versions before 8 did not have it yet.
DROP FUNCTION IF EXISTS ferry.claim(bigint, integer[], text[], integer, text[], double precision[],
    boolean, boolean, bigint[]);
