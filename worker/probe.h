/*
 * What "ferryctl doctor" asks of the stores: a few signed requests to each.
 *
 * Each finding is a line on standard output: LEVEL, the store's name, what was checked, and a
 * sentence, with tabs between them.  LEVEL is "ok", "warn" or "fail".
 */
#ifndef WORKER_PROBE_H
#define WORKER_PROBE_H

#include <stdbool.h>

#include "worker/worker.h"

/*
 * Probes the stores of the configuration in force.  uris, "STORE://BUCKET/KEY", say which bucket
 * stands for which store.  With write, makes and aborts an upload, or makes and removes a file; a
 * store is changed in no other way.
 */
void probe_stores(struct worker *w, bool write, char **uris, int nuris);

#endif
