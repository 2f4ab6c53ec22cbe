/*
 * Failures: texts from outside are made harmless; when an attempt is repeated.
 */
#include <errno.h>

#include "tests/unit/tap.h"
#include "worker/base/failure.h"

int
main(void)
{
	struct failure f;
	char longer[2000];
	int64_t at;

	failure_init(&f);
	is_int(f.class, CLASS_NONE, "an empty failure has no class");
	is_int(failure_set(&f, CLASS_TRANSIENT, "a\nb\033[1m%s", "\xff\xc3\xa9"), -1,
	    "setting it returns -1");
	is_str(f.text, "a?b?[1m???",
	    "control characters and bytes beyond ASCII become question marks");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	failure_set(&f, CLASS_TRANSIENT, "%s", longer);
	is_int(strlen(f.text), TASK_ERROR_MAX - 1, "a long text is cut");

	errno = ENOENT;
	failure_errno(&f, "source");
	is_int(f.class, CLASS_PERMANENT, "a missing file is permanent");
	errno = ENXIO;
	failure_errno(&f, "source");
	is_int(f.class, CLASS_PERMANENT, "and so is a socket");
	errno = ENOSPC;
	failure_errno(&f, "destination");
	is_int(f.class, CLASS_FULL, "a full disk has a class of its own");
	errno = EXDEV;
	failure_errno(&f, "source");
	ok(strstr(f.text, "root") != NULL, "a path out of the root is named: %s", f.text);

	failure_init(&f);
	f.class = CLASS_TRANSIENT;
	at = failure_retry_at(&f, 1, 1000);
	ok(at > 1000 && at < 2000, "the second attempt follows soon");
	is_int(failure_retry_at(&f, 3, 1000), 0, "the third attempt is the last");
	f.retry_after = 5;
	ok(failure_retry_at(&f, 1, 1000) == 6000, "Retry-After is obeyed");
	f.retry_after = 600;
	is_int(failure_retry_at(&f, 1, 1000), 0, "but not for ten minutes");
	f.retry_after = -1;
	f.class = CLASS_PERMANENT;
	is_int(failure_retry_at(&f, 1, 1000), 0, "a permanent failure is not repeated");
	f.lapsed = true;
	ok(failure_retry_at(&f, 99, 1000) > 1000,
	    "a request that our lease has cut off is always repeated");
	f.lapsed = false;
	f.class = CLASS_SOURCE_CHANGED;
	is_int(failure_retry_at(&f, 1, 1000), 0, "a changed source is not read again");
	ok(text_is_plain("\"abc-7\"") && !text_is_plain("a\tb") && !text_is_plain("\xc3\xa9"),
	    "plain text is printable ASCII");
	return done_testing();
}
