-- Version 13: an attempt that gained parts is not counted.

ALTER TABLE ferry.task ADD COLUMN bytes_gained bigint;
