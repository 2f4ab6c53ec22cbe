#include "common/figures.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

const double histogram_of_statements[HISTOGRAM_BOUNDS] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
	0.1, 0.25, 0.5, 1, 2.5, 5, 10 };
const double histogram_of_tasks[HISTOGRAM_BOUNDS] = { 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 3600,
	14400, 86400, 604800 };

void
histogram_add(struct histogram *h, const double *bounds, double value)
{
	int i;

	for (i = 0; i < HISTOGRAM_BOUNDS && value > bounds[i]; i++)
		continue;
	h->counts[i]++;
	h->sum += value;
}

static struct figures_sum *
find_sum(struct figures_sums *sums, const char *name, const char *other)
{
	const size_t most = CONFIG_NAME_MAX - 1;
	struct figures_sum *sum;

	for (sum = sums->list; sum < sums->list + sums->n; sum++)
		if (strncmp(sum->name, name, most) == 0 &&
		    strncmp(sum->other_name, other, most) == 0)
			return sum;
	return NULL;
}

/* The sum of these names, a new one, or the one of "other". */
static struct figures_sum *
take_sum(struct figures_sums *sums, const char *name, const char *other)
{
	struct figures_sum *sum = find_sum(sums, name, other);

	if (sum == NULL && sums->n >= FIGURES_SUMS - 1) {
		name = "other";
		other = other[0] != '\0' ? "other" : "";
		sum = sums->n == FIGURES_SUMS ? &sums->list[FIGURES_SUMS - 1] : NULL;
	}
	if (sum == NULL) {
		sum = &sums->list[sums->n++];
		strlcpy(sum->name, name, sizeof(sum->name));
		strlcpy(sum->other_name, other, sizeof(sum->other_name));
	}
	return sum;
}

void
figures_add(struct figures_sums *sums, const char *name, const char *other, uint64_t value)
{
	take_sum(sums, name, other)->value += value;
}

void
figures_set(struct figures_sums *sums, const char *name, const char *other, uint64_t value)
{
	take_sum(sums, name, other)->value = value;
}

static struct figures_request *
find_requests(
    struct figures_requests *r, const char *store, const char *operation, const char *status)
{
	struct figures_request *one;

	for (one = r->list; one < r->list + r->n; one++)
		if (strcmp(one->store, store) == 0 && strcmp(one->operation, operation) == 0 &&
		    strcmp(one->status, status) == 0)
			return one;
	return NULL;
}

/* The last place is kept for what finds none. */
void
figures_add_requests(struct figures_requests *r, const char *store, const char *operation,
    const char *status, uint64_t requests)
{
	struct figures_request *one = find_requests(r, store, operation, status);

	if (one == NULL && r->n >= FIGURES_REQUESTS - 1) {
		store = operation = status = "other";
		one = find_requests(r, store, operation, status);
	}
	if (one == NULL) {
		one = &r->list[r->n++];
		strlcpy(one->store, store, sizeof(one->store));
		strlcpy(one->operation, operation, sizeof(one->operation));
		strlcpy(one->status, status, sizeof(one->status));
	}
	one->requests += requests;
}

int
figures_send(int fd, const void *packet, size_t len)
{
	ssize_t n;

	while ((n = send(fd, packet, len, MSG_DONTWAIT | MSG_NOSIGNAL)) == -1 && errno == EINTR)
		continue;
	if (n == -1 && (errno == ECONNRESET || errno == ECONNREFUSED || errno == ENOTCONN))
		errno = EPIPE;
	if (n == -1 && errno == ENOBUFS)
		errno = EAGAIN;
	return n == -1 ? -1 : 0;
}

ptrdiff_t
figures_receive(int fd, void *packet, size_t size)
{
	ssize_t n;

	while ((n = recv(fd, packet, size, MSG_DONTWAIT)) == -1 &&
	       (errno == EINTR || errno == ECONNRESET))
		continue;
	return n;
}
