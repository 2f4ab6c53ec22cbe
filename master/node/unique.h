/*
 * Numbers that nothing else has, in no history of the database.  A database that is restored, that
 * fails over and loses its last transactions, or whose table is truncated gives the numbers of its
 * sequences once more.  So what fences claims and tells nodes apart is drawn at random by us.
 */
#ifndef MASTER_NODE_UNIQUE_H
#define MASTER_NODE_UNIQUE_H

#include <stdint.h>

/* 62 random bits, and never 0.  The numbers behind it, some thousands, are as unique. */
int64_t unique_draw(void);

#endif
