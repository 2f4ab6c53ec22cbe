/*
 * Counts what workers report, for the metrics: bytes that were carried, parts that a store got
 * damaged, attempts that failed, requests.
 */
#ifndef MASTER_METRICS_TRAFFIC_H
#define MASTER_METRICS_TRAFFIC_H

#include "common/channel.h"
#include "common/figures.h"
#include "master/pool/slot.h"

/*
 * The slot's task has so many bytes at its destination.  Bytes that an earlier attempt has carried
 * do not count again: of a task that was claimed before, counting begins with the first report that
 * has bytes, which comes with the first finished part or after a second.
 */
void traffic_note(struct figures *f, struct slot *slot, int64_t bytes_done);

/* A worker has sent these requests. */
void traffic_requests(struct figures *f, const struct msg_requests *msg);

/* The slot's task has ended so. */
void traffic_result(struct figures *f, struct slot *slot, const struct msg_result *result);

#endif
