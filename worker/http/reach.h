/*
 * What http(s) sources may reach: the hosts that the configuration allows, and public addresses
 * only, unless it allows private ones.  socket.c checks the address when it opens a socket and when
 * a connection is about to be used.  So nothing gets around the check: no name that resolves
 * differently the second time, no redirect, no kept connection.
 */
#ifndef WORKER_HTTP_REACH_H
#define WORKER_HTTP_REACH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common/config/config.h"

/*
 * Checks scheme, host and credentials of a source's URL.  Returns 0, or -1 with a sentence in why.
 */
int reach_check_url(const struct config_worker *conf, const char *url, char *why, size_t why_size);

/*
 * True for a loopback, private, link-local, unique-local, shared (CGNAT), multicast, reserved or
 * unspecified address, and for an IPv6 address that embeds such an IPv4 address.
 */
bool reach_is_private(const struct sockaddr *addr);

/* The same for an address in text.  A malformed address counts as private. */
bool reach_is_private_text(const char *addr);

#endif
