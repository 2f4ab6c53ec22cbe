#include "master/os/poll.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "common/base/log.h"

/* While poll() refuses, all descriptors are tried this often. */
#define BLIND_MS 100

static bool blind; /* logged: poll() refuses */

/* Logs the true cause of poll()'s errno. */
static void
log_blind(nfds_t n)
{
	struct rlimit limit;

	if (errno == EINVAL && getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < n)
		log_error("%u descriptors cannot be watched, RLIMIT_NOFILE has become %" PRIu64
			  ": all are tried every %d ms, until it is raised",
		    (unsigned)n, (uint64_t)limit.rlim_cur, BLIND_MS);
	else
		log_error("%u descriptors cannot be watched: poll: %s; all are tried every %d ms",
		    (unsigned)n, strerror(errno), BLIND_MS);
}

bool
poll_wait(struct pollfd *fds, nfds_t n, int timeout)
{
	nfds_t i;

	if (poll(fds, n, timeout) >= 0) {
		if (blind)
			log_info("descriptors can be watched again");
		blind = false;
		return true;
	}
	if (errno == EINTR)
		return false;
	if (errno != EINVAL && errno != ENOMEM && errno != EAGAIN)
		fatal(EX_SOFTWARE, "poll: %s", strerror(errno));
	if (!blind)
		log_blind(n);
	blind = true;
	poll(NULL, 0, timeout >= 0 && timeout < BLIND_MS ? timeout : BLIND_MS);
	for (i = 0; i < n; i++)
		fds[i].revents = (short)(fds[i].fd == -1 ? 0 : fds[i].events);
	return true;
}
