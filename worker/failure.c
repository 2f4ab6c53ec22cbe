/*
 * Failures as values.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/failure.h"

#define FAILURE_TRIES_MAX 3
#define FAILURE_RETRY_MS 250
#define FAILURE_LAPSED_MS 100
#define FAILURE_RETRY_AFTER_MAX_S 30

void
failure_init(struct failure *f)
{
	memset(f, 0, sizeof(*f));
	f->class = CLASS_NONE;
	f->retry_after = -1;
}

int
failure_set(struct failure *f, enum error_class class, const char *fmt, ...)
{
	va_list ap;
	char *p;

	f->class = class;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	for (p = f->text; *p != '\0'; p++) {
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	}
	return -1;
}

int
failure_errno(struct failure *f, const char *what)
{
	enum error_class class;
	int err = errno;

	switch (err) {
	case ENOENT:
	case ENOTDIR:
	case EACCES:
	case EPERM:
	case EROFS:
	case ELOOP:
	case EXDEV:
	case ENXIO:
	case ENODEV:
	case EISDIR:
	case EEXIST:
	case EINVAL:
	case ENAMETOOLONG:
	case EFBIG:
		class = CLASS_PERMANENT;
		break;
	case ENOSPC:
	case EDQUOT:
		class = CLASS_THROTTLED;
		break;
	default:
		class = CLASS_TRANSIENT;
	}
	if (err == EXDEV)
		return failure_set(f, class, "%s: the path leaves the root of the store", what);
	return failure_set(f, class, "%s: %s", what, strerror(err));
}

bool
text_is_plain(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s < 0x20 || *s > 0x7e)
			return false;
	}
	return true;
}

int64_t
failure_retry_at(const struct failure *f, int tries, int64_t now)
{
	int64_t delay;

	if (f->lapsed)
		return now + FAILURE_LAPSED_MS;
	if ((f->class != CLASS_TRANSIENT && f->class != CLASS_THROTTLED) || tries >= FAILURE_TRIES_MAX)
		return 0;
	delay = (int64_t)FAILURE_RETRY_MS << (2 * (tries - 1));
	delay = delay / 2 + (int64_t)arc4random_uniform((uint32_t)delay);
	if (f->retry_after > FAILURE_RETRY_AFTER_MAX_S)
		return 0;
	if (f->retry_after * 1000 > delay)
		delay = f->retry_after * 1000;
	return now + delay;
}
