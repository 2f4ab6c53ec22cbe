#include "worker/endpoint/pin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "worker/http/answer.h"
#include "worker/store/etag.h"

void
pin_take(struct pin *pin, const struct object_info *info)
{
	pin->size = info->size;
	strlcpy(pin->etag, info->etag, sizeof(pin->etag));
	strlcpy(pin->modified, info->modified, sizeof(pin->modified));
	pin->settled = info->modified[0] != '\0' && info->date != -1 &&
		       info->date - info->modified_at >= PIN_SETTLED_S;
}

bool
pin_is_strong(const struct pin *pin)
{
	return pin->etag[0] != '\0' && strncmp(pin->etag, "W/", 2) != 0;
}

bool
pin_holds(const struct pin *pin)
{
	return pin_is_strong(pin) || (pin->settled && pin->size >= 0);
}

void
pin_demand(const struct pin *pin, struct store_call *call)
{
	if (pin_is_strong(pin))
		call->if_match = pin->etag;
	else if (pin_holds(pin))
		call->if_unmodified_since = pin->modified;
}

/* Both are known, and differ. */
static bool
differ(const char *pinned, const char *now)
{
	return pinned[0] != '\0' && now[0] != '\0' && strcmp(pinned, now) != 0;
}

int
pin_check(const struct pin *pin, const struct http_request *r, struct failure *f)
{
	const struct object_info *info = &r->info;
	bool strong = pin_is_strong(pin);

	if (differ(store_etag_opaque(pin->etag), store_etag_opaque(info->etag)))
		return http_failure(r, f, CLASS_SOURCE_CHANGED,
		    "source changed: another ETag than when the transfer began");
	if (pin->size >= 0 && info->size >= 0 && pin->size != info->size)
		return http_failure(r, f, CLASS_SOURCE_CHANGED,
		    "source changed: it has %" PRId64 " bytes, it had %" PRId64, info->size,
		    pin->size);
	if (!strong && differ(pin->modified, info->modified))
		return http_failure(r, f, CLASS_SOURCE_CHANGED,
		    "source changed: Last-Modified is %s, it was %s", info->modified,
		    pin->modified);
	if (pin_holds(pin) && ((pin->etag[0] != '\0' && info->etag[0] == '\0') ||
				  (!strong && info->modified[0] == '\0')))
		return http_foreign(r, f, CLASS_TRANSIENT,
		    "lacks the ETag or Last-Modified that the source's first answer had");
	return 0;
}

const char *
pin_text(const struct pin *pin, char text[PIN_TEXT_MAX])
{
	text[0] = '\0';
	if (pin_is_strong(pin))
		strlcpy(text, pin->etag, PIN_TEXT_MAX);
	else if (pin_holds(pin))
		/* an ETag never contains a space, so the two kinds cannot be confused */
		snprintf(text, PIN_TEXT_MAX, "modified %s%s%s", pin->modified,
		    pin->etag[0] != '\0' ? " " : "", pin->etag);
	return text;
}

bool
pin_is_text(const struct pin *pin, const char *text)
{
	static const char dated[] = "modified ";
	char now[PIN_TEXT_MAX];
	const char *weak = strstr(text, " W/");
	size_t len;

	if (!pin_holds(pin) || text[0] == '\0')
		return false;
	if (strcmp(pin_text(pin, now), text) == 0)
		return true;
	if (!pin_is_strong(pin))
		return strcmp(store_etag_opaque(pin->etag), text) == 0;
	if (weak == NULL || strncmp(text, dated, strlen(dated)) != 0)
		return false;
	text += strlen(dated);
	len = (size_t)(weak - text);
	return strlen(pin->modified) == len && strncmp(pin->modified, text, len) == 0 &&
	       store_etag_is_same(pin->etag, weak + 1);
}
