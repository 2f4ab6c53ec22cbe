'use strict';
/*
 * Checks Signature Version 4; every header that begins with x-amz- must be signed.  main.js checks the hash of the payload.
 */
const crypto = require('crypto');

const hash = (data) => crypto.createHash('sha256').update(data).digest('hex');
const hmac = (key, data) => crypto.createHmac('sha256', key).update(data).digest();
const encode = (s) => encodeURIComponent(s).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());

/*
 * keys: {id: {secret, token, until}}; until, in milliseconds, is when a key ends.  Returns null, or [status, code, message,
 * canonical request].
 */
function check(req, url, keys) {
	const said = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w+)$/
		.exec(req.headers.authorization || '');
	if (!said)
		return [403, 'AccessDenied', 'no signature'];
	const [, id, day, region, list, signature] = said, names = list.split(';');
	const key = keys[id];
	if (!key)
		return [403, 'InvalidAccessKeyId', id];
	if (key.until && Date.now() > key.until)
		return [400, 'ExpiredToken', 'The provided token has expired.'];
	if ((req.headers['x-amz-security-token'] || '') !== (key.token || ''))
		return [403, 'InvalidToken', 'The provided token is malformed or otherwise invalid.'];
	const unsigned = Object.keys(req.headers).filter((h) => h.startsWith('x-amz-') && !names.includes(h));
	if (unsigned.length || !names.includes('host'))
		return [403, 'AccessDenied', `There were headers present in the request which were not signed: ${unsigned}`];
	const query = [...url.searchParams].map(([k, v]) => `${encode(k)}=${encode(v)}`).sort().join('&');
	const headers = names.map((n) => `${n}:${(req.headers[n] || '').trim().replace(/ +/g, ' ')}\n`).join('');
	const request = [req.method, req.url.split('?')[0], query, headers, list, req.headers['x-amz-content-sha256']].join('\n');
	const scope = `${day}/${region}/s3/aws4_request`;
	const text = ['AWS4-HMAC-SHA256', req.headers['x-amz-date'], scope, hash(request)].join('\n');
	const signing = [day, region, 's3', 'aws4_request'].reduce(hmac, 'AWS4' + key.secret);
	return hmac(signing, text).toString('hex') === signature ? null : [403, 'SignatureDoesNotMatch', 'The request signature we calculated does not match', request];
}

module.exports = { check, hash };
