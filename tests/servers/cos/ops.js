'use strict';
/*
 * The operations of the store, with its rules and answers.  Each takes the request (bucket, key, query, headers, action), does
 * its work and returns {status, headers, body}, or throws a Refusal.  http.js streams the bodies of objects.
 */
const { Refusal } = require('./sign');

const PART_MIN = 1024 * 1024;
const PART_MAX = 5 * 1024 * 1024 * 1024;
const KEPT = ['content-type', 'cache-control', 'content-disposition', 'content-encoding', 'content-language', 'expires'];

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const esc = (s) => String(s).replace(/[&<>"]/g, (c) => escapes[c]);
const xml = (root, inner) => `<?xml version="1.0" encoding="UTF-8"?>\n<${root}>${inner}</${root}>`;
const tag = (name, value) => `<${name}>${esc(value)}</${name}>`;
const errorXml = (code, message, resource, signed) =>
	xml('Error', tag('Code', code) + tag('Message', message) + (signed ? tag('FormatString', signed) : '') + tag('Resource', resource || '') +
	    tag('RequestId', 'NWZlMDAwMDA=') + tag('TraceId', 'OGVmYzZiMmQz'));

function storedHeaders(req) {
	const headers = {};
	let meta = 0;
	for (const [name, value] of Object.entries(req.headers)) {
		if (name.startsWith('x-cos-meta-'))
			meta += name.length - 'x-cos-meta-'.length + value.length;
		if (name.startsWith('x-cos-meta-') || KEPT.includes(name))
			headers[name] = value;
	}
	if (meta > 2048)
		throw new Refusal(400, 'KeyTooLong', 'x-cos-meta-* together are longer than 2 KB');
	const storage = req.headers['x-cos-storage-class'];
	if (storage !== undefined && !/^[A-Z_]{3,32}$/.test(storage))
		throw new Refusal(400, 'InvalidStorageClass', 'The storage class you specified is not valid');
	if (storage !== undefined && storage !== 'STANDARD')
		headers['x-cos-storage-class'] = storage;
	const encryption = req.headers['x-cos-server-side-encryption'];
	if (encryption !== undefined && !['AES256', 'cos/kms'].includes(encryption))
		throw new Refusal(400, 'InvalidArgument', 'x-cos-server-side-encryption is AES256 or cos/kms');
	for (const name of ['x-cos-server-side-encryption', 'x-cos-server-side-encryption-cos-kms-key-id'])
		if (req.headers[name] !== undefined)
			headers[name] = req.headers[name];
	headers['content-type'] = headers['content-type'] || 'application/octet-stream';
	return headers;
}

const overwrites = (store, req) => req.headers['x-cos-forbid-overwrite'] === 'true' && store.get(req.bucket, req.key);

function refuseOverwrite(store, req) {
	if (overwrites(store, req))
		throw new Refusal(409, 'FileAlreadyExists', 'The object already exists and cannot be overwritten');
}

function findUpload(store, req) {
	const upload = store.upload(req.bucket, req.key, req.query.get('uploadId'));
	if (!upload)
		throw new Refusal(404, 'NoSuchUpload', 'The specified multipart upload does not exist');
	return upload;
}

/* Answers to requests that make an object say how it is encrypted. */
const encrypted = (headers) => Object.fromEntries(Object.entries(headers).filter(([n]) => n.startsWith('x-cos-server-side-')));
const quoted = (etag) => `"${etag}"`;
const crcHeader = (crc) => ({ 'x-cos-hash-crc64ecma': crc.toString() });

function checkBody(req, body) {
	if (body.size > PART_MAX)
		throw new Refusal(400, 'EntityTooLarge', 'Your proposed upload exceeds the maximum allowed object size');
	if (req.md5 && req.md5 !== req.headers['content-md5'])
		throw new Refusal(400, 'BadDigest', 'The Content-MD5 you specified did not match what was received');
}

/* Checks that can refuse a request before its body is read. */
const before = {
	put: (store, req) => {
		refuseOverwrite(store, req);
		req.stored = storedHeaders(req);
	},
	part: (store, req) => {
		if (!(req.part >= 1 && req.part <= 10000))
			throw new Refusal(400, 'InvalidArgument', 'partNumber must be between 1 and 10000');
		req.upload = findUpload(store, req);
	},
};

function put(store, req) {
	checkBody(req, req.body);
	refuseOverwrite(store, req);
	const segment = req.body.close();
	const object = store.put(req.bucket, req.key, [segment], segment.etag, req.stored);
	return { status: 200, headers: { etag: quoted(object.etag), ...crcHeader(object.crc), ...encrypted(object.headers) } };
}

function part(store, req) {
	checkBody(req, req.body);
	const segment = req.body.close();
	store.setPart(findUpload(store, req), req.part, segment);
	return { status: 200, headers: { etag: quoted(segment.etag), ...crcHeader(segment.crc) } };
}

/*
 * Returns the source of a copy, which is given as HOST/KEY, encoded, of a bucket of this endpoint.  Unlike the store, the
 * endpoint refuses a copy without a condition: the client must pin the source.
 */
function copySource(store, req) {
	const m = /^([a-z0-9-]+)\.cos\.([a-z0-9-]+)\.myqcloud\.com\/(.+)$/.exec(req.headers['x-cos-copy-source'] || '');
	if (!m)
		throw new Refusal(400, 'InvalidArgument', 'x-cos-copy-source is BUCKET-APPID.cos.REGION.myqcloud.com/KEY');
	const object = store.get(m[1], decodeURIComponent(m[3]));
	if (!object)
		throw new Refusal(404, 'NoSuchKey', 'The specified copy source does not exist');
	const match = req.headers['x-cos-copy-source-if-match'];
	if (match === undefined)
		throw new Refusal(400, 'InvalidArgument', 'the copy is not pinned');
	if (match.replace(/"/g, '') !== object.etag)
		throw new Refusal(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
	return object;
}

/* The status is sent before the copy is made, as with Complete. */
function copy(store, req) {
	const source = copySource(store, req);
	const directive = req.headers['x-cos-metadata-directive'] || 'Copy';
	if (source.size > PART_MAX)
		throw new Refusal(400, 'InvalidRequest', 'The source is larger than 5 GB');
	if (!['Copy', 'Replaced'].includes(directive))
		throw new Refusal(400, 'InvalidArgument', 'x-cos-metadata-directive is Copy or Replaced');
	const given = storedHeaders(req);
	const headers = directive === 'Replaced' ? given : { ...source.headers, ...encrypted(given) };
	delete headers['x-cos-storage-class'];
	if (given['x-cos-storage-class'])
		headers['x-cos-storage-class'] = given['x-cos-storage-class'];
	const finish = () => {
		copySource(store, req); /* the source may have been replaced meanwhile */
		const segments = [store.copyRange(source, 0, source.size, req.corrupt)];
		const object = store.put(req.bucket, req.key, segments, segments[0].etag, headers);
		return { body: xml('CopyObjectResult', tag('ETag', quoted(object.etag)) + tag('CRC64', object.crc) +
		    tag('LastModified', object.modified.toISOString())) };
	};
	return { status: 200, headers: encrypted(headers), finish };
}

function copyPart(store, req) {
	const source = copySource(store, req);
	const m = /^bytes=(\d+)-(\d+)$/.exec(req.headers['x-cos-copy-source-range'] || '');
	if (!m || Number(m[2]) < Number(m[1]) || Number(m[2]) >= source.size)
		throw new Refusal(416, 'InvalidRange', 'The requested range cannot be satisfied');
	const size = Number(m[2]) - Number(m[1]) + 1;
	if (size > PART_MAX)
		throw new Refusal(400, 'InvalidArgument', 'The part is larger than 5 GB');
	const finish = () => {
		copySource(store, req);
		const segment = store.copyRange(source, Number(m[1]), size, req.corrupt);
		store.setPart(findUpload(store, req), req.part, segment);
		return { body: xml('CopyPartResult', tag('ETag', quoted(segment.etag)) +
		    tag('LastModified', new Date().toISOString())) };
	};
	return { status: 200, finish };
}

function conditions(req, object) {
	const match = req.headers['if-match'], none = req.headers['if-none-match'];
	if (match !== undefined && match !== '*' && match.replace(/"/g, '') !== object.etag)
		throw new Refusal(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
	if (none !== undefined && (none === '*' || none.replace(/"/g, '') === object.etag))
		throw new Refusal(304, 'NotModified', '');
}

/* Returns the first and the last byte of the requested range, or null. */
function range(req, size) {
	const m = /^bytes=(\d*)-(\d*)$/.exec(req.headers.range || '');
	if (!m || (m[1] === '' && m[2] === ''))
		return null;
	const first = m[1] === '' ? Math.max(0, size - Number(m[2])) : Number(m[1]);
	const last = m[1] === '' || m[2] === '' ? size - 1 : Math.min(Number(m[2]), size - 1);
	if (first >= size || last < first)
		throw new Refusal(416, 'InvalidRange', 'The requested range cannot be satisfied');
	return { first, last };
}

function get(store, req) {
	const object = store.get(req.bucket, req.key);
	if (!object)
		throw new Refusal(404, 'NoSuchKey', 'The specified key does not exist');
	conditions(req, object);
	const wanted = req.op === 'get' ? range(req, object.size) : null;
	const headers = {
		...object.headers, ...crcHeader(object.crc), etag: quoted(object.etag), 'accept-ranges': 'bytes',
		'last-modified': object.modified.toUTCString(),
		'content-length': wanted ? wanted.last - wanted.first + 1 : object.size,
	};
	if (wanted)
		headers['content-range'] = `bytes ${wanted.first}-${wanted.last}/${object.size}`;
	return { status: wanted ? 206 : 200, headers, object, first: wanted ? wanted.first : 0 };
}

function remove(store, req) {
	store.remove(req.bucket, req.key);
	return { status: 204, headers: {} };
}

function initiate(store, req) {
	refuseOverwrite(store, req);
	const stored = storedHeaders(req), id = store.begin(req.bucket, req.key, stored);
	return { status: 200, headers: encrypted(stored), body: xml('InitiateMultipartUploadResult', tag('Bucket', req.bucket) + tag('Key', req.key) +
	    tag('UploadId', id)) };
}

function listParts(store, req) {
	const upload = findUpload(store, req);
	const max = Math.min(Number(req.query.get('max-parts') || 1000), req.perPage || 1000);
	const marker = Number(req.query.get('part-number-marker') || 0);
	const numbers = [...upload.parts.keys()].sort((a, b) => a - b).filter((n) => n > marker);
	const page = numbers.slice(0, max);
	const truncated = numbers.length > page.length;
	let inner = tag('Bucket', req.bucket) + tag('Key', req.key) + tag('UploadId', upload.id) +
	    tag('StorageClass', 'STANDARD') + tag('PartNumberMarker', marker) + tag('MaxParts', max) +
	    tag('IsTruncated', truncated);
	if (truncated)
		inner += tag('NextPartNumberMarker', page[page.length - 1]);
	for (const n of page) {
		const p = upload.parts.get(n);
		inner += `<Part>${tag('PartNumber', n)}${tag('LastModified', new Date().toISOString())}` +
		    `${tag('ETag', quoted(p.etag))}${tag('Size', p.size)}</Part>`;
	}
	return { status: 200, body: xml('ListPartsResult', inner) };
}

function listUploads(store, req) {
	const prefix = req.query.get('prefix') || '';
	let inner = tag('Bucket', req.bucket) + tag('Prefix', prefix) + tag('IsTruncated', false);
	for (const u of store.uploads.values())
		if (u.bucket === req.bucket && u.key.startsWith(prefix))
			inner += `<Upload>${tag('Key', u.key)}${tag('UploadId', u.id)}` +
			    `${tag('Initiated', u.started.toISOString())}</Upload>`;
	return { status: 200, body: xml('ListMultipartUploadsResult', inner) };
}

function parseComplete(text) {
	const parts = [];
	if (!/^\s*(<\?xml[^>]*\?>)?\s*<CompleteMultipartUpload[\s>]/.test(text) || !/<\/CompleteMultipartUpload>\s*$/.test(text))
		throw new Refusal(400, 'MalformedXML', 'The XML you provided was not well-formed');
	for (const [, inner] of text.matchAll(/<Part>([\s\S]*?)<\/Part>/g)) {
		const number = /<PartNumber>\s*(\d+)\s*<\/PartNumber>/.exec(inner);
		const etag = /<ETag>\s*(?:"|&quot;|&#34;)?([^"&<]*)(?:"|&quot;|&#34;)?\s*<\/ETag>/.exec(inner);
		if (!number || !etag)
			throw new Refusal(400, 'MalformedXML', 'The XML you provided was not well-formed');
		parts.push({ number: Number(number[1]), etag: etag[1] });
	}
	if (parts.length === 0)
		throw new Refusal(400, 'MalformedXML', 'no part');
	return parts;
}

/* The status is sent before the outcome is known, so finish() states the outcome in the body. */
function complete(store, req) {
	const upload = findUpload(store, req);
	refuseOverwrite(store, req);
	const parts = parseComplete(req.text);
	const refused = (code, message) => ({ body: errorXml(code, message, `/${req.key}`), code });
	const finish = () => {
		for (let i = 0; i < parts.length; i++) {
			const stored = upload.parts.get(parts[i].number);
			if (parts[i].number !== i + 1 || !stored || stored.etag !== parts[i].etag)
				return refused('InvalidPart', `part ${parts[i].number} is not there, not contiguous or has another ETag`);
			if (i < parts.length - 1 && stored.size < PART_MIN)
				return refused('EntityTooSmall', `part ${parts[i].number} is smaller than 1 MB`);
		}
		if (!store.uploads.has(upload.id))
			return refused('NoSuchUpload', 'The specified multipart upload does not exist');
		if (overwrites(store, req))
			return refused('FileAlreadyExists', 'The object already exists and cannot be overwritten');
		const object = store.complete(upload, parts.map((p) => p.number));
		return { body: xml('CompleteMultipartUploadResult', tag('Location', `http://${req.headers.host}/${req.key}`) +
		    tag('Bucket', req.bucket) + tag('Key', req.key) + tag('ETag', quoted(object.etag))) };
	};
	return { status: 200, finish };
}

function abort(store, req) {
	store.abort(findUpload(store, req));
	return { status: 204, headers: {} };
}

before['copy-part'] = before.part;

const operations = { put, part, copy, 'copy-part': copyPart, get, head: get, delete: remove, initiate, 'list-parts': listParts,
	'list-uploads': listUploads, complete, abort };

/* Returns the name of the operation that a request asks for, or null. */
function classify(method, key, query, headers) {
	const copies = headers['x-cos-copy-source'] !== undefined;
	const id = query.has('uploadId');
	if (key === '')
		return method === 'GET' && query.has('uploads') ? 'list-uploads' : null;
	switch (method) {
	case 'PUT': return (copies ? ['copy', 'copy-part'] : ['put', 'part'])[id && query.has('partNumber') ? 1 : 0];
	case 'GET': return id ? 'list-parts' : 'get';
	case 'HEAD': return 'head';
	case 'DELETE': return id ? 'abort' : 'delete';
	case 'POST': return query.has('uploads') ? 'initiate' : id ? 'complete' : null;
	default: return null;
	}
}

module.exports = { operations, before, classify, errorXml };
