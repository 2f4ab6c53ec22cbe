#include "worker/http/mend.h"

#include <stdio.h>
#include <string.h>

#include "worker/store/classify.h"

/* The first match counts.  The words are OpenSSL's: another one's fault has another remedy. */
static const struct {
	CURLcode result;
	const char *words; /* NULL: any */
	const char *mend;
} mends[] = {
	{ CURLE_SSL_CONNECT_ERROR, "wrong version number",
	    "the server speaks no TLS at this port: endpoint begins with http://, or has another "
	    "port" },
	{ CURLE_SSL_CONNECT_ERROR, "packet length too long",
	    "the server speaks no TLS at this port: endpoint begins with http://, or has another "
	    "port" },
	{ CURLE_PEER_FAILED_VERIFICATION, "subject name",
	    "the certificate is another host's: correct the host in endpoint" },
	{ CURLE_PEER_FAILED_VERIFICATION, NULL,
	    "name the certificate of the server's CA with ca_file" },
	{ CURLE_SSL_CACERT_BADFILE, NULL,
	    "ca_file must hold certificates in PEM that the daemon can read" },
	{ CURLE_COULDNT_RESOLVE_HOST, NULL,
	    "correct the host in endpoint, or the resolver of this machine" },
	{ CURLE_COULDNT_CONNECT, NULL, "start the server, or correct host and port in endpoint" },
	{ CURLE_GOT_NOTHING, NULL,
	    "if the server expects TLS there, endpoint begins with https://" },
	{ CURLE_UNSUPPORTED_PROTOCOL, NULL,
	    "the server speaks no HTTP there: correct scheme and port of endpoint" },
	{ CURLE_WEIRD_SERVER_REPLY, NULL,
	    "the server speaks no HTTP there: correct scheme and port of endpoint" },
};

const char *
http_mend_broken(const struct http_request *r)
{
	size_t i;

	if (r->store->conf.kind == STORE_HTTP)
		return NULL;
	for (i = 0; i < sizeof(mends) / sizeof(mends[0]); i++)
		if (mends[i].result == r->result &&
		    (mends[i].words == NULL || strstr(r->error, mends[i].words) != NULL))
			return mends[i].mend;
	return NULL;
}

/*
 * True if the answer refuses a request without TLS, since the port is one for TLS.  nginx: "The
 * plain HTTP request was sent to HTTPS port"; Go: "Client sent an HTTP request to an HTTPS server".
 */
static bool
is_plain_to_tls(const struct http_request *r)
{
	static const char *const words[] = { "plain HTTP", "HTTP request to an HTTPS" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (r->status == 400 && strstr(r->sample, words[i]) != NULL)
			return true;
	return false;
}

/*
 * True if the store knows the key and refuses this request.  The answer to a HEAD has no code, so
 * that a wrong secret looks the same.
 */
static bool
lacks_right(const struct http_request *r, const char *code)
{
	return r->status == 403 && (code[0] == '\0' || strcmp(code, "AccessDenied") == 0) &&
	       store_right(r->store->conf.kind, r->call.op) != NULL;
}

void
http_mend_refusal(const struct http_request *r, enum error_class class, const char *code,
    char mend[HTTP_MEND_MAX])
{
	const struct config_store *conf = &r->store->conf;
	const char *known = store_mend(code);

	mend[0] = '\0';
	if (conf->kind == STORE_HTTP)
		return;
	if (known != NULL)
		snprintf(mend, HTTP_MEND_MAX, "; %s (store %s)", known, conf->name);
	else if (is_plain_to_tls(r))
		snprintf(mend, HTTP_MEND_MAX,
		    "; the server expects TLS there: endpoint of store %s begins with https://",
		    conf->name);
	else if (class == CLASS_CREDENTIALS && lacks_right(r, code))
		snprintf(mend, HTTP_MEND_MAX, "; the key may lack the right %s%s",
		    store_right(conf->kind, r->call.op),
		    code[0] == '\0' ? ", or access_key and its secret may be wrong" : "");
}
