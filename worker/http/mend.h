/*
 * What an operator changes when requests to a store fail.
 */
#ifndef WORKER_HTTP_MEND_H
#define WORKER_HTTP_MEND_H

#include "worker/http/http.h"

#define HTTP_MEND_MAX 256

/* What mends the failure of libcurl that has ended the request to a store; NULL: not known. */
const char *http_mend_broken(const struct http_request *r);

/*
 * What mends the store's refusal of the request, by its class and the code of its error document
 * ("" if there is none).  Writes the end of a sentence that begins with "; ", or "".
 */
void http_mend_refusal(const struct http_request *r, enum error_class class, const char *code,
    char mend[HTTP_MEND_MAX]);

#endif
