#include "worker/http/private.h"

void
http_blame_curl(const struct http_request *r, struct failure *f)
{
	switch (r->result) {
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_UNSUPPORTED_PROTOCOL:
		failure_blame(f, TROUBLE_STORE);
		break;
	case CURLE_WEIRD_SERVER_REPLY:
		if (r->status == 0)
			failure_blame(f, TROUBLE_STORE); /* no HTTP */
		break;
	case CURLE_FAILED_INIT:
	case CURLE_INTERFACE_FAILED:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		failure_blame(f, TROUBLE_NODE);
		break;
	case CURLE_OPERATION_TIMEDOUT:
		if (!r->sent)
			failure_blame(f, TROUBLE_STORE); /* no connection */
		break;
	default:
		break;
	}
}
