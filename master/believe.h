/*
 * Whether a worker's report can be true.  A worker reads what strangers send, so it may have been
 * taken over: nothing of what it says is stored before it has been looked at here.
 */
#ifndef MASTER_BELIEVE_H
#define MASTER_BELIEVE_H

#include "common/channel.h"
#include "master/pool/slot.h"

/* These return NULL, or what is wrong: "a size below 0". */
const char *believe_progress(const struct msg_progress *progress);
const char *believe_requests(const struct config *conf, const struct msg_requests *requests);
const char *believe_certificate(
    const struct config *conf, const struct msg_certificate *certificate);
const char *believe_result(const struct slot *slot, const struct msg_result *result);

#endif
