#include "worker/base/failure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 3
#define RETRY_MS 250
#define LAPSED_MS 100
#define RETRY_AFTER_MAX_S 30

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

	f->class = class;
	f->trouble = TROUBLE_OBJECT;
	f->certain = false;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	text_make_plain(f->text);
	return -1;
}

int
failure_reword(struct failure *f, const char *fmt, ...)
{
	char text[sizeof(f->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_make_plain(text);
	strlcpy(f->text, text, sizeof(f->text));
	return -1;
}

int
failure_suspect(struct failure *f)
{
	if (task_class_retries(f->class) && f->class != CLASS_SOURCE_CHANGED)
		f->trouble = TROUBLE_STORE;
	return -1;
}

int
failure_blame(struct failure *f, enum trouble trouble)
{
	f->trouble = trouble;
	f->certain = true;
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
		class = CLASS_FULL;
		break;
	default:
		class = CLASS_TRANSIENT;
	}
	if (err == EXDEV)
		return failure_set(f, class, "%s: the path leaves the root of the store", what);
	failure_set(f, class, "%s: %s", what, strerror(err));
	failure_suspect(f);
	if (err == EMFILE || err == ENFILE || err == ENOMEM)
		failure_blame(f, TROUBLE_NODE);
	return -1;
}

int
failure_counts(const struct failure *f)
{
	return f->lapsed || f->renew_ms > 0 ? 0 : 1;
}

int64_t
failure_retry_at(const struct failure *f, int tries, int64_t now)
{
	int64_t delay;

	if (f->lapsed)
		return now + LAPSED_MS;
	if (f->renew_ms > 0)
		return now + f->renew_ms;
	if ((f->class != CLASS_TRANSIENT && f->class != CLASS_THROTTLED) || tries >= TRIES_MAX)
		return 0;
	delay = (int64_t)RETRY_MS << (2 * (tries - 1));
	delay = delay / 2 + (int64_t)arc4random_uniform((uint32_t)delay);
	if (f->retry_after > RETRY_AFTER_MAX_S)
		return 0;
	if (f->retry_after * 1000 > delay)
		delay = f->retry_after * 1000;
	return now + delay;
}
