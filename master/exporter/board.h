/*
 * What the page is told of the whole queue.  A sheet is the answer to one question, as JSON that
 * the database has made.  A question is asked only while a page is open that shows its sheet.  It
 * is asked once for all pages: once in its period at most, and for a tenth of the time at most.
 */
#ifndef MASTER_EXPORTER_BOARD_H
#define MASTER_EXPORTER_BOARD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/db/db.h"

enum sheet_name {
	SHEET_NODES,
	SHEET_WORKERS,
	SHEET_QUEUES,
	SHEET_STORES,
	SHEET_ENDS,
	SHEET_FAILURES,
	SHEETS
};

struct sheet {
	const struct db_stmt *question;
	int64_t every_ms;
	char parameter[24]; /* of the question, if it has one */
	void (*take)(void *arg, const PGresult *res); /* takes the answer; NULL: it is the text */
	void *arg;

	/* On clock_ms(). */
	int64_t wanted_at; /* a page has asked for it last, on clock_ms(); 0: none has */
	int64_t asked_at;
	int64_t ask_at;
	bool pending;

	/* The newest answer. */
	int64_t answered_at; /* milliseconds since 1970; 0: there is none */
	char *text;
	char why[256]; /* the last question was refused; empty: it was not */
};

/* Tasks as the page lists them.  Each row says in which version of the list it changed. */
#define TASKS_GONE 4096
struct tasks {
	struct sheet sheet;
	int64_t first; /* the first version; it differs with every start */
	int64_t version;
	int64_t gone_since; /* gone has all that left after this version */
	int n;
	struct task_row {
		int64_t id;
		int64_t version;
		char *text; /* JSON */
	} * rows; /* by their ids */
	int ngone;
	struct task_gone {
		int64_t id;
		int64_t version;
	} gone[TASKS_GONE];
};

#define STORIES_MAX 8

struct board {
	struct db *db;
	struct sheet sheets[SHEETS];
	struct sheet stories[STORIES_MAX]; /* of the tasks that pages have asked for last */
	struct tasks tasks;
};

void board_open(struct board *b, struct db *db);

/* Sends the questions that are due.  board_deadline(): when the next one is, or 0 for none. */
void board_run(struct board *b);
int64_t board_deadline(const struct board *b);

/* Writes a part of the page as JSON, and notes that a page has asked for it. */
void board_write_fleet(struct board *b, FILE *out);
void board_write_tasks(struct board *b, int64_t since, FILE *out);

/* The same of one task.  Returns 0, or -1 if too many are looked at. */
int board_write_task(struct board *b, int64_t id, FILE *out);

/* tasks.c: takes the rows of an answer; writes what has changed since a version. */
void tasks_take(void *arg, const PGresult *res);
void tasks_write(const struct tasks *t, int64_t since, FILE *out);

#endif
