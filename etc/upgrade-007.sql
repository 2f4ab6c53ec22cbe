-- Version 7: objects that a store made other than they were sent.

ALTER TABLE ferry.upload ADD COLUMN spoiled boolean NOT NULL DEFAULT false;

DROP INDEX ferry.upload_current;
CREATE UNIQUE INDEX upload_current ON ferry.upload (task) WHERE NOT abandoned AND NOT spoiled;
