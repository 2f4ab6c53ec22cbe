/*
 * The lease's fence: no request that changes a store goes on while the lease does not hold
 * (worker/session/lease.h).
 */
#ifndef WORKER_HTTP_FENCE_H
#define WORKER_HTTP_FENCE_H

#include "worker/http/http.h"

/* If the lease does not hold, breaks off all requests that change a store. */
void http_fence(struct http *http);

#endif
