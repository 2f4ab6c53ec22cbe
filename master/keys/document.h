/*
 * What a credentials_command prints: the JSON of AWS's credential_process
 * (docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html).
 *
 *   {"Version": 1, "AccessKeyId": "...", "SecretAccessKey": "...", "SessionToken": "...",
 *    "Expiration": "2026-11-23T22:30:05Z"}
 *
 * The last two may be absent or null.  Other members are ignored.
 */
#ifndef MASTER_KEYS_DOCUMENT_H
#define MASTER_KEYS_DOCUMENT_H

#include <stddef.h>

#include "common/config/config.h"

/*
 * Reads len bytes into keys.  Returns 0, or -1 with why, to follow "it": what is wrong with the
 * document, never what it holds.
 */
int document_read(
    const char *text, size_t len, struct store_keys *keys, char *why, size_t why_size);

#endif
