/*
 * What http(s) sources may reach: hosts that the configuration allows, and, unless it says otherwise, public addresses only.
 * The address check sits where sockets are opened and where a connection is about to be used, so neither a name that
 * resolves differently the second time nor a redirect nor a kept connection gets around it.
 */
#ifndef WORKER_GUARD_H
#define WORKER_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common/config.h"

/* Returns 0, or -1 with a sentence in why: no http(s), no host, a host that is not allowed, credentials in the URL. */
int guard_check_url(const struct config_worker *conf, const char *url, char *why, size_t why_size);

/* True for a loopback, private, link-local, unique-local, shared (CGNAT), multicast, reserved or unspecified address,
 * also where IPv6 embeds such an IPv4 address. */
bool guard_is_private(const struct sockaddr *addr);

/* The same for an address in text; what cannot be read is private. */
bool guard_is_private_text(const char *addr);

#endif
