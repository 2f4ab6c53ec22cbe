-- The application's own table: what was uploaded, and the task that carries it to the archive.
CREATE TABLE upload (
	id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	key  text NOT NULL UNIQUE,
	task bigint NOT NULL -- ferry.task.id; ferryd deletes ended tasks when its retention is over
);
