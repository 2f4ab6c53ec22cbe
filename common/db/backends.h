/*
 * Whether a pooler in front of the database lets each connection keep its server.
 *
 * The numbers of the backends tell: two connections ask for theirs, several times.  If a connection
 * gets another number than before, or both get the same, then statements go to whatever server is
 * free: settings, LISTEN and prepared statements are lost.
 */
#ifndef COMMON_DB_BACKENDS_H
#define COMMON_DB_BACKENDS_H

enum backends_verdict { BACKENDS_ASKED, BACKENDS_KEPT, BACKENDS_SHARED };

/* All zero before the first answer. */
struct backends {
	enum backends_verdict verdict;
	int step; /* answers so far */
	long pid[2]; /* of the first connection and of the second; 0: not known yet */
};

/* What a connection asks; the answer is one row of one number. */
extern const char backends_sql[];

/* Which connection asks next, 0 or 1.  The verdict is still BACKENDS_ASKED. */
int backends_turn(const struct backends *b);

/* Takes the number that this connection got. */
void backends_note(struct backends *b, long pid);

#endif
