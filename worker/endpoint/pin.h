/*
 * What pins a source: what its first answer said, by which later answers are recognised as answers
 * about the same bytes.  The rules are those of ferry(7):
 *
 *   a strong ETag                           pins alone (RFC 9110, 8.8.3)
 *   Last-Modified, PIN_SETTLED_S older      pins together with the size, and with a weak ETag if
 *   than the answer's Date                  there is one
 *   anything else                           pins nothing: the source is read by one GET from its
 *                                           beginning to its end, and never resumed
 *
 * An ETag that is weak in one answer and strong in another is the same ETag: store/etag.h.
 *
 * A file may change twice within the second that Last-Modified names (RFC 9110, 8.8.2.2).  The time
 * must be over by the server's own clock, or the next change might not show.
 */
#ifndef WORKER_ENDPOINT_PIN_H
#define WORKER_ENDPOINT_PIN_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/base/failure.h"
#include "worker/http/http.h"
#include "worker/store/store.h"

#define PIN_SETTLED_S 2
#define PIN_TEXT_MAX (S3XML_ETAG_MAX + 64)

struct pin {
	int64_t size; /* bytes; -1: the server did not say */
	char etag[S3XML_ETAG_MAX]; /* "": none; W/…: a weak one */
	char modified[40]; /* Last-Modified; "": none */
	bool settled; /* it is old enough */
};

/* Pins by an answer. */
void pin_take(struct pin *pin, const struct object_info *info);

/* True if a later answer can be recognised: the source may be read by ranges, and be resumed. */
bool pin_holds(const struct pin *pin);

/* True if the ETag pins: a store can copy on the condition that it is the same. */
bool pin_is_strong(const struct pin *pin);

/* Puts the pin's condition into a GET or HEAD. */
void pin_demand(const struct pin *pin, struct store_call *call);

/*
 * Compares a later answer with the pin.  Returns 0, or -1: CLASS_SOURCE_CHANGED if it speaks of
 * other bytes, CLASS_TRANSIENT if it does not say of which.
 */
int pin_check(const struct pin *pin, const struct http_request *r, struct failure *f);

/* The pin as a checkpoint keeps it; "" if it does not hold.  Returns text. */
const char *pin_text(const struct pin *pin, char text[PIN_TEXT_MAX]);

/*
 * True if the pin holds, and text, which pin_text() wrote, was of the same bytes.  The ETag may be
 * weak in one of them; if it was the text's, Last-Modified must be the same too.
 */
bool pin_is_text(const struct pin *pin, const char *text);

#endif
