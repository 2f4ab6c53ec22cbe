'use strict';
/*
 * Is this request signed as COS wants it?  The native signature is computed by the vendor's own client, from what arrived;
 * nothing here knows how.  Stricter than the store in two ways, so that a client cannot be right by luck: host and every x-cos-
 * header must be signed, and so must every parameter of the query.
 */
const COS = require('cos-nodejs-sdk-v5');

class Refusal extends Error {
	constructor(status, code, message) {
		super(message);
		this.status = status;
		this.code = code;
	}
}

const list = (s) => (s ? s.split(';') : []);

/* The q-... fields of an Authorization header, or of the query of a pre-signed URL. */
function fields(req) {
	const header = req.headers.authorization;
	if (header === undefined)
		return req.query.has('q-signature') ? Object.fromEntries(req.query) : null;
	const found = {};
	for (const field of header.split('&')) {
		const at = field.indexOf('=');
		if (at > 0)
			found[field.slice(0, at)] = field.slice(at + 1);
	}
	return found;
}

function checkTime(times) {
	const m = /^(\d{9,11});(\d{9,11})$/.exec(times || '');
	const now = Date.now() / 1000;
	if (!m)
		throw new Refusal(403, 'AccessDenied', 'q-sign-time and q-key-time are START;END in Unix seconds');
	if (Number(m[1]) > now + 60 || Number(m[2]) < now)
		throw new Refusal(403, 'RequestTimeTooSkewed', 'Request has expired, or is not yet valid');
}

/* Everything that must be signed is in the lists; what is in the lists is there. */
function checkLists(req, headers, params, presigned) {
	if (!headers.includes('host'))
		throw new Refusal(403, 'AccessDenied', 'host is not signed');
	for (const name of Object.keys(req.headers))
		if (name.startsWith('x-cos-') && name !== 'x-cos-security-token' && !headers.includes(name))
			throw new Refusal(403, 'AccessDenied', `${name} is not signed`);
	for (const name of req.query.keys()) {
		if (presigned && (name.startsWith('q-') || name === 'x-cos-security-token' || name === 'sign'))
			continue;
		if (!params.includes(encodeURIComponent(name).toLowerCase()))
			throw new Refusal(403, 'AccessDenied', `parameter ${name} is not signed`);
	}
}

/*
 * req: method, headers, query (a Map of decoded names and values) and path (decoded).  keys: {id: {secret, token}}.
 * Throws a Refusal, or returns.
 */
function verify(req, keys) {
	const sent = fields(req);
	if (!sent || sent['q-sign-algorithm'] !== 'sha1' || !sent['q-signature'])
		throw new Refusal(403, 'AccessDenied', 'the native signature is wanted');
	const key = keys[sent['q-ak']];
	if (!key)
		throw new Refusal(403, 'InvalidAccessKeyId', 'The Access Key Id you provided does not exist in our records');
	if (sent['q-sign-time'] !== sent['q-key-time'])
		throw new Refusal(403, 'AccessDenied', 'q-sign-time and q-key-time differ');
	checkTime(sent['q-sign-time']);
	const presigned = req.headers.authorization === undefined;
	const token = req.headers['x-cos-security-token'] || req.query.get('x-cos-security-token') || '';
	if (token !== (key.token || ''))
		throw new Refusal(403, 'InvalidSecurityToken', 'the security token is not the one of this key');

	const headerNames = list(sent['q-header-list']), paramNames = list(sent['q-url-param-list']);
	checkLists(req, headerNames, paramNames, presigned);
	const Headers = {}, Query = {};
	for (const name of headerNames)
		if (req.headers[name] !== undefined)
			Headers[name] = Buffer.from(req.headers[name], 'latin1').toString(); /* header values are bytes */
	for (const [name, value] of req.query)
		if (paramNames.includes(encodeURIComponent(name).toLowerCase()))
			Query[name] = value;
	const want = COS.getAuthorization({
		SecretId: sent['q-ak'], SecretKey: key.secret, Method: req.method, Pathname: req.path, Query, Headers,
		KeyTime: sent['q-sign-time'], UseRawKey: true,
	});
	if (/q-signature=([0-9a-f]{40})$/.exec(want)[1] !== sent['q-signature'])
		throw new Refusal(403, 'SignatureDoesNotMatch', 'The Signature you specified is invalid');
}

module.exports = { verify, Refusal };
