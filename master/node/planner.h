/*
 * Conditions on the state of a task.  The first half of each chooses the partition.  The second
 * half, with IS TRUE, allows the partial index that has the same condition (see the indexes in the
 * schema).  t is the table's alias with a dot, or empty.
 *
 * A statement that needs the order of an index names ferry.task_live: the policies of ferry.task
 * keep the planner from seeing that order.
 */
#ifndef MASTER_NODE_PLANNER_H
#define MASTER_NODE_PLANNER_H

/* Queued, and not behind a task of the same destination. */
#define TASK_READY(t) t "state = 'queued' AND (" t "state = 'queued' AND NOT " t "behind) IS TRUE"
#define TASK_RUNNING(t) t "state = 'running' AND (" t "state = 'running') IS TRUE"

#endif
