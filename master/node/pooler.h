/*
 * Whether a pooler in front of the database lets each connection keep its server.
 *
 * The numbers of the backends tell: two connections ask for theirs, several times.  If a connection
 * gets another number than before, or both get the same, then statements go to whatever server is
 * free: settings, LISTEN and prepared statements are lost.  The second connection lasts as long as
 * the question.  A pooler that has no server left for it is taken for one that lets them keep.
 */
#ifndef MASTER_NODE_POOLER_H
#define MASTER_NODE_POOLER_H

#include <stdbool.h>
#include <stdint.h>

struct db;
struct node;

enum pooler_verdict { POOLER_ASKED, POOLER_KEEPS, POOLER_SHARES };

struct pooler {
	struct db *db; /* the second connection; NULL: nothing is asked */
	enum pooler_verdict verdict;
	int64_t until; /* the question ends then, on clock_ms() */
	int step; /* answers so far */
	long backends[2]; /* of the first connection and of the second; 0: not known yet */
};

/* Asks.  The first connection is up. */
void pooler_ask(struct node *n);

/* If the question has just been answered, returns the answer and closes the second connection. */
enum pooler_verdict pooler_take(struct node *n);

void pooler_close(struct node *n);

/* Which connection asks next, 0 or 1; takes the number of the backend that it gets. */
int pooler_turn(const struct pooler *p);
void pooler_note(struct pooler *p, long backend);

/* For the loop. */
int pooler_fd(const struct node *n);
short pooler_poll_events(const struct node *n);
bool pooler_receive(struct node *n);
int64_t pooler_deadline(const struct node *n);

#endif
