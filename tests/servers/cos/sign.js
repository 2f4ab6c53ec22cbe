'use strict';
/*
 * Checks the native signature of a request.  The vendor's own client computes the signature from the request as it arrived.  The
 * check is stricter than the store's in two ways, so that a client cannot be right by luck: host and every x-cos- header
 * must be signed, and so must every parameter of the query.
 */
const COS = require('cos-nodejs-sdk-v5');

class Refusal extends Error {
	constructor(status, code, message, signed) {
		super(message);
		this.signed = signed;
		this.status = status;
		this.code = code;
	}
}

const list = (s) => (s ? s.split(';') : []);

/* Returns the q-... fields of an Authorization header, or of the query of a pre-signed URL. */
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

/* Checks that the lists name everything that must be signed. */
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

/* The request as the store has signed it, for the error's document (436/7730). */
function formatString(req, headers, query) {
	const pairs = (from) => Object.keys(from).map((k) => `${encodeURIComponent(k).toLowerCase()}=${encodeURIComponent(from[k])}`).sort()
		.join('&');
	return `${req.method.toLowerCase()}\n${req.path}\n${pairs(query)}\n${pairs(headers)}\n`;
}

/*
 * req: method, headers, query (a Map of decoded names and values) and path (decoded).  keys: {id: {secret, token, until}};
 * until, in milliseconds, is when a key ends.
 * Throws a Refusal, or returns.
 */
function verify(req, keys) {
	const sent = fields(req);
	if (!sent || sent['q-sign-algorithm'] !== 'sha1' || !sent['q-signature'])
		throw new Refusal(403, 'AccessDenied', 'the native signature is wanted');
	const key = keys[sent['q-ak']];
	if (!key)
		throw new Refusal(403, 'InvalidAccessKeyId', 'The Access Key Id you provided does not exist in our records');
	if (key.until && Date.now() > key.until)
		throw new Refusal(403, 'ExpiredToken', 'The provided token has expired');
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
		throw new Refusal(403, 'SignatureDoesNotMatch', 'The Signature you specified is invalid', formatString(req, Headers, Query));
}

module.exports = { verify, Refusal };
