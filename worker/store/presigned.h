/*
 * Pre-signed URLs say in their query until when they are good.
 */
#ifndef WORKER_STORE_PRESIGNED_H
#define WORKER_STORE_PRESIGNED_H

#include <stdbool.h>
#include <stdint.h>

#define PRESIGNED_WHEN_MAX 48

/*
 * True if the URL is good no more at the time now, in seconds since 1970.  when becomes the end of
 * its time, " at 2026-11-23T22:30:05Z", or "" if its query does not say one.
 *
 *   X-Amz-Date and X-Amz-Expires    AWS "Authenticating requests: using query parameters"; the same
 *                                   with Goog for Amz: Google "V4 signing process"
 *   q-sign-time, q-key-time         COS 436/7778: "start;end"; the earlier end counts
 *   Expires                         AWS signature version 2, and others that took it over
 */
bool presigned_is_over(const char *url, int64_t now, char when[PRESIGNED_WHEN_MAX]);

#endif
