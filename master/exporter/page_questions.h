/*
 * The questions of the page.  Each answer is one row with one text, an array of JSON, but for those
 * whose columns are named here.  Ids are texts, since a number of JavaScript holds 53 bits only.
 * Times are seconds since 1970.
 */
#ifndef MASTER_EXPORTER_PAGE_QUESTIONS_H
#define MASTER_EXPORTER_PAGE_QUESTIONS_H

#include "common/db/db.h"

enum { PAGE_TEXT };

extern const struct db_stmt question_page_nodes;

/* The workers of all nodes with their tasks; "parts": ranges of numbers of finished parts. */
extern const struct db_stmt question_page_workers;

/* The queues, and what the oldest waiting task of each waits for. */
extern const struct db_stmt question_page_queues;

extern const struct db_stmt question_page_stores;

/* What ended within the last minute. */
extern const struct db_stmt question_page_ends;

/*
 * Failures by message: of the tasks that failed within 24 hours, among the last 200,000 that ended,
 * and of those that wait or run after one.  Messages count as equal that differ in names, numbers
 * and ids; a status of HTTP, which has three digits, counts.
 */
extern const struct db_stmt question_page_failures;

/*
 * The tasks of the list, by their ids: those that run, the next that wait, the last that ended.
 * The text is an array of JSON whose places page/tasks.js names.
 */
extern const struct db_stmt question_page_tasks;
enum { TASKS_ID, TASKS_TEXT };

/* One task with its uploads: an object of JSON, or no row. */
extern const struct db_stmt question_page_task;

#endif
