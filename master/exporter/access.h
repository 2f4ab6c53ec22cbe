/*
 * Who may read what the exporter has.
 */
#ifndef MASTER_EXPORTER_ACCESS_H
#define MASTER_EXPORTER_ACCESS_H

#include <stdbool.h>

/*
 * Whether the header Authorization has the token.  Compares in a time that does not depend on where
 * the texts differ.
 */
bool access_has_token(const char *token, const char *authorization);

/*
 * Whether the header Host names an address or localhost.  A page of a stranger, open in a browser
 * that can reach us, can have a name of its own that leads to us, and could read our answers.
 */
bool access_is_address(const char *host);

#endif
