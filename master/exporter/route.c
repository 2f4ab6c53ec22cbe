#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "master/exporter/access.h"
#include "master/exporter/exporter.h"
#include "master/exporter/http.h"
#include "master/exporter/page.h"

#define TEXT_PLAIN "text/plain; charset=utf-8"
#define TEXT_PROMETHEUS "text/plain; version=0.0.4; charset=utf-8"
#define TEXT_OPEN "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define TEXT_HTML "text/html; charset=utf-8"
#define TEXT_JSON "application/json"

void
answer_line(struct answer *a, unsigned status, const char *line)
{
	a->status = status;
	a->type = TEXT_PLAIN;
	a->len = (size_t)asprintf(&a->text, "%s\n", line);
}

static FILE *
open_answer(struct answer *a, const char *type)
{
	FILE *out = open_memstream(&a->text, &a->len);

	if (out == NULL)
		memory_exhausted(0);
	a->status = MHD_HTTP_OK;
	a->type = type;
	return out;
}

static void
answer_metrics(const struct exporter *e, struct MHD_Connection *conn, struct answer *a)
{
	const char *accept = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Accept");
	bool is_open = accept != NULL && strstr(accept, "application/openmetrics-text") != NULL;
	struct exposition p = { .out = open_answer(a, is_open ? TEXT_OPEN : TEXT_PROMETHEUS),
		.is_open = is_open };

	node_write(&p, e);
	whole_write(&p, &e->answers);
	if (p.is_open)
		fputs("# EOF\n", p.out);
	fclose(p.out);
}

/* Whether ferryd can be given tasks: the first thing that is missing. */
static void
answer_ready(const struct exporter *e, struct answer *a)
{
	const struct figures *f = &e->figures;

	if (!exporter_hears(e))
		answer_line(a, 503, "ferryd has said nothing for 10 seconds");
	else if (f->running == 0)
		answer_line(a, 503, "ferryd is starting or ending");
	else if (f->database_up == 0)
		answer_line(a, 503, "the database is away");
	else if (f->lease_ms <= 0)
		answer_line(a, 503, "this node has no lease");
	else if (f->nworkers == 0)
		answer_line(a, 503, "no worker runs");
	else
		answer_line(a, 200, "ready");
}

/* The number in an argument of the URL; 0 if there is none. */
static int64_t
argument(struct MHD_Connection *conn, const char *name)
{
	const char *text = MHD_lookup_connection_value(conn, MHD_GET_ARGUMENT_KIND, name);

	return text != NULL ? strtoll(text, NULL, 10) : 0;
}

/* The documents that the page reads.  Returns false if there is none of that name. */
static bool
answer_document(struct exporter *e, struct MHD_Connection *conn, const char *url, struct answer *a)
{
	FILE *out = open_answer(a, TEXT_JSON);
	bool found = true, busy = false;

	if (strcmp(url, "/page/node") == 0)
		page_write_node(e, argument(conn, "since"), out);
	else if (strcmp(url, "/page/fleet") == 0)
		board_write_fleet(&e->board, out);
	else if (strcmp(url, "/page/tasks") == 0)
		board_write_tasks(&e->board, argument(conn, "since"), out);
	else if (strcmp(url, "/page/task") == 0)
		busy = board_write_task(&e->board, argument(conn, "id"), out) == -1;
	else
		found = false;
	fclose(out);
	if (found && !busy)
		return true;
	free(a->text);
	if (busy)
		answer_line(a, 503, "too many tasks are looked at");
	return found;
}

/* What keeps a request from figures and names; NULL: nothing does. */
static const char *
refusal(const struct exporter *e, struct MHD_Connection *conn, const char *url)
{
	const char *host = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
	const char *given =
	    MHD_lookup_connection_value(conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);

	if (e->setup.token[0] != '\0')
		return access_has_token(e->setup.token, given)
			   ? NULL
			   : "the header \"Authorization: Bearer TOKEN\" is needed";
	if (strncmp(url, "/page/", strlen("/page/")) == 0 && !access_is_address(host))
		return "without a token (metrics.token_file), the page is opened by an address or "
		       "localhost, not by a name";
	return NULL;
}

void
route_answer(struct exporter *e, struct MHD_Connection *conn, const char *url, struct answer *a)
{
	const char *refused = refusal(e, conn, url);

	if (strcmp(url, "/healthz") == 0 && exporter_hears(e)) {
		answer_line(a, 200, "ok");
	} else if (strcmp(url, "/healthz") == 0) {
		answer_line(a, 503, "ferryd has said nothing for 10 seconds");
	} else if (strcmp(url, "/readyz") == 0) {
		answer_ready(e, a);
	} else if (strcmp(url, "/") == 0) {
		FILE *out = open_answer(a, TEXT_HTML);

		page_write(a->policy, sizeof(a->policy), out);
		fclose(out);
	} else if (refused != NULL) {
		answer_line(a, e->setup.token[0] != '\0' ? 401 : 403, refused);
	} else if (strcmp(url, "/metrics") == 0) {
		answer_metrics(e, conn, a);
	} else if (!answer_document(e, conn, url, a)) {
		answer_line(a, 404, "there are /, /metrics, /healthz and /readyz");
	}
}
