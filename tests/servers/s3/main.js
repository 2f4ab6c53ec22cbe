'use strict';
/*
 * An S3 endpoint with the additional checksums CRC32C and CRC32, as strict about them as Amazon's and MinIO's servers
 * together; no gateway in Debian has these checksums.  It uses path addressing and keeps everything in memory.
 *
 *   node main.js --bucket NAME --key ID:SECRET [--port N]
 *
 * Prints {"port":…} when it listens; exits when its stdin ends.  Besides S3 it takes, without signatures:
 *   POST /-/wrong OPERATION   answers to OPERATION (PutObject, UploadPart, HeadObject) state a wrong checksum; "" ends this
 *   POST /-/reset             forgets everything
 *   POST /-/encrypt KIND      objects are encrypted from now on unless a request says how: AES256, aws:kms, aws:kms:dsse,
 *                             SSE-C (as if with the key of a client); with " quiet", answers to PUTs do not say so; "ignore":
 *                             nothing is encrypted, whatever a request asks for; "own": not encrypted, but with ETags of its own
 *   POST /-/keys {id: key}    accepts these keys from now on, too: {secret, token, until}, see sign.js; null ends one
 *   POST /-/deny OPERATION... such requests are refused with AccessDenied
 *   POST /-/swap KEY          another program replaces the object right after the next HEAD of it
 *   POST /-/conditions WORD   "none": a condition on DELETE is answered with 501; "" ends this
 *   POST /-/headers JSON      answers to GetObject and HeadObject have these headers too: [[name, value], ...]
 *   POST /-/behave JSON       other servers' ways, until the next such request:
 *     lists: "parts only" (ListParts states the checksum of each part alone, as Ceph 20), "other" (it answers another document),
 *            "html" (a page), a status (it is refused with it)
 *     unconditional: operations that refuse If-None-Match with 501, as Swift 2.30
 *     tags: how an object of parts is tagged, of an upload that ends now: "own", "count" (another number), "plain" (no number)
 *     weak: operations whose answers have a weak ETag
 *     damaged: operations that make an object, or a copied part, of other bytes, with the ETag that these have
 *   GET /-/objects            {key: {encryption, key}}
 *   GET /-/log                [operation, status, code] of every request so far
 */
const crypto = require('crypto');
const http = require('http');
const { parseArgs } = require('util');
const { sums } = require('./sums');
const { check, hash } = require('./sign');

const { values } = parseArgs({ options: {
	bucket: { type: 'string' }, key: { type: 'string' }, port: { type: 'string', default: '0' } } });
const [id, secret] = values.key.split(':');
const TRAILER = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
const KEPT = /^(x-amz-meta-.*|cache-control|content-disposition|content-language|expires)$/;
let objects, uploads, log, wrong, encrypt, quiet, deny, extra, swap, conditions, keys, ways, serial = 0;

function reset() {
	objects = new Map();
	uploads = new Map();
	log = [];
	wrong = '';
	encrypt = '';
	quiet = false;
	deny = [];
	extra = [];
	swap = '';
	conditions = '';
	keys = { [id]: { secret } };
	ways = {};
}

class Refusal extends Error {
	constructor(status, code, message, signed) {
		super(message || code);
		Object.assign(this, { status, code, signed });
	}
}

const refuse = (...what) => { throw new Refusal(...what); };
const md5 = (data) => crypto.createHash('md5').update(data).digest();
const xml = (name, ...inner) => `<${name}>${inner.join('')}</${name}>`;
const escape = (s) => s.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/* Splits a framed body into its data and its trailer. */
function unframe(body) {
	const parts = [];
	let at = 0;
	const line = () => {
		const end = body.indexOf('\r\n', at);
		if (end < 0)
			refuse(400, 'IncompleteBody', 'a line without end');
		const text = body.toString('latin1', at, end);
		at = end + 2;
		return text;
	};
	for (;;) {
		const word = line();
		if (!/^[0-9a-fA-F]+$/.test(word))
			refuse(400, 'InvalidRequest', `no length of a chunk: ${word}`);
		const size = parseInt(word, 16);
		if (size === 0)
			break;
		if (parts.length && parts.at(-1).length < 8192)
			refuse(403, 'InvalidChunkSizeError', 'only the last chunk may be smaller than 8192 bytes');
		if (size > 16 << 20)
			refuse(400, 'InvalidRequest', 'chunk too big');
		if (at + size + 2 > body.length || body.toString('latin1', at + size, at + size + 2) !== '\r\n')
			refuse(400, 'IncompleteBody', 'a chunk is not as long as it says');
		parts.push(body.subarray(at, at + size));
		at += size + 2;
	}
	const trailer = {};
	for (let text = line(); text !== ''; text = line()) {
		const [name, value] = text.split(/:(.*)/);
		trailer[name.toLowerCase()] = value.trim();
	}
	if (at !== body.length)
		refuse(400, 'InvalidRequest', 'more behind the trailer');
	return { data: Buffer.concat(parts), trailer };
}

/* Returns the data of a PUT and its checksum: {data, algorithm, sum}. */
function receive(req, body) {
	const h = req.headers, sha = h['x-amz-content-sha256'];
	let given = h, data = body;
	if (h['transfer-encoding'] && !h['x-amz-decoded-content-length'])
		refuse(411, 'MissingContentLength');
	if (sha === TRAILER) {
		if (!(h['content-encoding'] || '').split(',').map((s) => s.trim()).includes('aws-chunked'))
			refuse(400, 'InvalidRequest', 'not aws-chunked');
		({ data, trailer: given } = unframe(body));
		if (Number(h['x-amz-decoded-content-length']) !== data.length)
			refuse(400, 'IncompleteBody', `${data.length} bytes are not the decoded length`);
		if (Object.keys(given).join() !== (h['x-amz-trailer'] || ''))
			refuse(400, 'MalformedTrailerError', Object.keys(given).join());
	} else if (sha !== 'UNSIGNED-PAYLOAD' && sha !== hash(body)) {
		refuse(400, 'XAmzContentSHA256Mismatch');
	}
	for (const algorithm of Object.keys(sums)) {
		const said = given[`x-amz-checksum-${algorithm.toLowerCase()}`];
		if (said === undefined)
			continue;
		const sum = sums[algorithm].of([data]);
		if (!/^[A-Za-z0-9+/]{6}==$/.test(said))
			refuse(400, 'InvalidRequest', `Value for x-amz-checksum-${algorithm.toLowerCase()} header is invalid.`);
		if (said !== sum)
			refuse(400, 'BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`);
		return { data, algorithm, sum };
	}
	return { data };
}

const kept = (req) => Object.fromEntries(Object.entries(req.headers).filter(([name]) => KEPT.test(name)));

/* How an object is encrypted: {kind, key, headers of answers}. */
function encryption(req) {
	const kind = encrypt === 'ignore' || encrypt === 'own' ? '' : req.headers['x-amz-server-side-encryption'] || encrypt;
	const key = req.headers['x-amz-server-side-encryption-aws-kms-key-id'];
	const said = kind === 'SSE-C' ? { 'x-amz-server-side-encryption-customer-algorithm': 'AES256' } :
		kind ? { 'x-amz-server-side-encryption': kind } : {};
	return { kind, key, said };
}

/* With keys of a key service or of a client, an ETag looks like an MD5 and is none. */
const tag = (etag, { kind }) => encrypt === 'own' || (kind && kind !== 'AES256') ?
	etag.replace(/^[0-9a-f]{32}/, crypto.randomBytes(16).toString('hex')) : etag;

const sumHeaders = (algorithm, sum, operation) => algorithm ? { [`x-amz-checksum-${algorithm.toLowerCase()}`]:
	operation === wrong ? sums[algorithm].of([Buffer.from(sum)]) : sum } : {};

const does = (way, operation) => (ways[way] || []).includes(operation);
const damage = (data, operation) => does('damaged', operation) ? Buffer.concat([data.subarray(0, -1), Buffer.from([data.at(-1) ^ 1])]) : data;

/* If-None-Match: *. */
function checkAbsent(req, key, operation) {
	if (req.headers['if-none-match'] !== '*')
		return;
	if (does('unconditional', operation))
		refuse(501, 'NotImplemented', 'Conditional requests are not supported.');
	if (objects.has(key))
		refuse(412, 'PreconditionFailed');
}

/* The ETag of an object of parts. */
function tagOfParts(parts) {
	const digest = md5(Buffer.concat(parts.map((p) => Buffer.from(p.etag, 'hex')))).toString('hex');
	return { own: `${digest}/of-${parts.length}-parts`, count: `${digest}-${parts.length + 1}`, plain: digest }[ways.tags] ||
		`${digest}-${parts.length}`;
}

/* The object that a copy is of, or a range of it. */
function copied(req) {
	const [, bucket, key] = /^\/?([^/]+)\/(.*)$/s.exec(decodeURIComponent(req.headers['x-amz-copy-source']));
	const o = (bucket === values.bucket && objects.get(key)) || refuse(404, 'NoSuchKey');
	const range = /^bytes=(\d+)-(\d+)$/.exec(req.headers['x-amz-copy-source-range'] || '');
	if ((req.headers['x-amz-copy-source-if-match'] || `"${o.etag}"`) !== `"${o.etag}"`)
		refuse(412, 'PreconditionFailed');
	return { ...o, data: range ? o.data.subarray(Number(range[1]), Number(range[2]) + 1) : o.data };
}

const operations = {
	CopyObject(req, key) {
		const from = copied(req), data = damage(from.data, 'CopyObject');
		const etag = data === from.data ? from.etag : md5(data).toString('hex');
		objects.set(key, { ...from, data, etag });
		return [{}, xml('CopyObjectResult', xml('ETag', `&quot;${etag}&quot;`))];
	},

	UploadPartCopy(req, key, url, body, upload) {
		const data = damage(copied(req).data, 'UploadPartCopy'), etag = md5(data).toString('hex');
		upload.parts.set(Number(url.searchParams.get('partNumber')), { data, etag });
		return [{}, xml('CopyPartResult', xml('ETag', `&quot;${etag}&quot;`))];
	},

	PutObject(req, key, url, body) {
		const { data, algorithm, sum } = receive(req, body), how = encryption(req), etag = tag(md5(data).toString('hex'), how);
		const coding = (req.headers['content-encoding'] || '').split(',').filter((c) => c && c !== 'aws-chunked').join();
		checkAbsent(req, key, 'PutObject');
		objects.set(key, { data, etag, algorithm, sum, type: 'FULL_OBJECT', coding, of: req.headers['content-type'],
			how, kept: kept(req) });
		return [{ ETag: `"${etag}"`, ...(quiet ? {} : how.said), ...sumHeaders(algorithm, sum, 'PutObject'),
			...(algorithm ? { 'x-amz-checksum-type': 'FULL_OBJECT' } : {}) }];
	},

	CreateMultipartUpload(req, key) {
		const algorithm = req.headers['x-amz-checksum-algorithm'], type = req.headers['x-amz-checksum-type'] || 'COMPOSITE';
		if (algorithm && !sums[algorithm])
			refuse(400, 'InvalidRequest', 'Checksum algorithm provided is unsupported.');
		const upload = `upload-${++serial}`, coding = req.headers['content-encoding'] || '';
		const how = encryption(req);
		uploads.set(upload, { key, algorithm, type, coding, of: req.headers['content-type'], parts: new Map(), how, kept: kept(req) });
		return [{ ...(quiet ? {} : how.said), ...(algorithm ? { 'x-amz-checksum-algorithm': algorithm, 'x-amz-checksum-type': type } : {}) },
			xml('InitiateMultipartUploadResult', xml('Key', escape(key)), xml('UploadId', upload))];
	},

	UploadPart(req, key, url, body, upload) {
		const part = receive(req, body);
		if (part.algorithm !== upload.algorithm)
			refuse(400, 'InvalidRequest', `Checksum Type mismatch occurred, expected checksum Type: ${
				upload.algorithm || null}, actual checksum Type: ${part.algorithm || null}`);
		part.etag = tag(md5(part.data).toString('hex'), upload.how);
		upload.parts.set(Number(url.searchParams.get('partNumber')), part);
		return [{ ETag: `"${part.etag}"`, ...(quiet ? {} : upload.how.said), ...sumHeaders(part.algorithm, part.sum, 'UploadPart') }];
	},

	ListParts(req, key, url, body, upload) {
		if (Number(ways.lists))
			refuse(Number(ways.lists), 'Refused');
		if (ways.lists === 'other' || ways.lists === 'html')
			return [{ 'Content-Type': ways.lists === 'html' ? 'text/html' : 'application/xml' }, '<page><Key>0</Key></page>'];
		const stated = upload.algorithm && ways.lists !== 'parts only';
		const parts = [...upload.parts].sort(([a], [b]) => a - b).map(([number, p]) => xml('Part', xml('PartNumber', number),
			xml('ETag', `&quot;${p.etag}&quot;`), xml('Size', p.data.length),
			p.sum ? xml(`Checksum${p.algorithm}`, p.sum) : ''));
		return [{}, xml('ListPartsResult', xml('IsTruncated', 'false'), ...parts, ...(stated ?
			[xml('ChecksumAlgorithm', upload.algorithm), xml('ChecksumType', upload.type)] : []))];
	},

	CompleteMultipartUpload(req, key, url, body, upload) {
		const { algorithm, type } = upload, listed = [...body.toString().matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, text]) => text);
		const field = (text, name) => (new RegExp(`<${name}>(.*?)</${name}>`).exec(text) || [])[1];
		const parts = listed.map((text) => {
			const part = upload.parts.get(Number(field(text, 'PartNumber'))), sum = field(text, `Checksum${algorithm}`);
			if (!part || (field(text, 'ETag') || '').replace(/&quot;|"/g, '') !== part.etag || (algorithm && type === 'COMPOSITE' &&
				!sum) || (sum && sum !== part.sum))
				refuse(400, 'InvalidPart', text);
			return part;
		});
		if (parts.slice(0, -1).some((p) => p.data.length < 5 << 20))
			refuse(400, 'EntityTooSmall');
		if (req.headers['x-amz-checksum-type'] && req.headers['x-amz-checksum-type'] !== type)
			refuse(400, 'InvalidRequest', `The upload was created with checksum type ${type}`);
		const sum = algorithm && (type === 'FULL_OBJECT' ? sums[algorithm].of(parts.map((p) => p.data)) :
			`${sums[algorithm].of(parts.map((p) => Buffer.from(p.sum, 'base64')))}-${parts.length}`);
		const said = algorithm && req.headers[`x-amz-checksum-${algorithm.toLowerCase()}`];
		if (said && said !== sum)
			refuse(400, 'BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`);
		checkAbsent(req, key, 'CompleteMultipartUpload');
		const whole = Buffer.concat(parts.map((p) => p.data)), data = damage(whole, 'CompleteMultipartUpload');
		const etag = tag(data === whole ? tagOfParts(parts) : tagOfParts([{ etag: '00' }, ...parts.slice(1)]), upload.how);
		objects.set(key, { data, etag, algorithm, sum, type, coding: upload.coding,
			of: upload.of, how: upload.how, kept: upload.kept });
		uploads.delete(url.searchParams.get('uploadId'));
		return [{}, xml('CompleteMultipartUploadResult', xml('ETag', `&quot;${etag}&quot;`),
			algorithm ? xml(`Checksum${algorithm}`, sum) + xml('ChecksumType', type) : '')];
	},

	AbortMultipartUpload(req, key, url) {
		uploads.delete(url.searchParams.get('uploadId'));
		return [{}, null, 204];
	},

	ListMultipartUploads(req, key, url) {
		return [{}, xml('ListMultipartUploadsResult', xml('IsTruncated', 'false'), ...[...uploads]
			.filter(([, u]) => u.key.startsWith(url.searchParams.get('prefix') || ''))
			.map(([name, u]) => xml('Upload', xml('Key', escape(u.key)), xml('UploadId', name),
				xml('Initiated', '2026-01-01T00:00:00.000Z'))))];
	},

	GetObject(req, key) {
		const o = objects.get(key) || refuse(404, 'NoSuchKey'), range = /^bytes=(\d+)-(\d+)$/.exec(req.headers.range || '');
		const headers = { ETag: `"${o.etag}"`, ...o.kept, ...o.how.said, ...Object.fromEntries(extra), ...(o.of ? { 'Content-Type': o.of } : {}), ...(o.coding ? { 'Content-Encoding':
			o.coding } : {}), ...(o.algorithm && req.headers['x-amz-checksum-mode'] === 'ENABLED' && !range ?
			{ ...sumHeaders(o.algorithm, o.sum, 'HeadObject'), 'x-amz-checksum-type': o.type } : {}) };
		if (!range)
			return [headers, o.data];
		const data = o.data.subarray(Number(range[1]), Number(range[2]) + 1);
		return [{ ...headers, 'Content-Range': `bytes ${range[1]}-${Number(range[1]) + data.length - 1}/${o.data.length}` }, data, 206];
	},

	DeleteObject(req, key) {
		const match = req.headers['if-match'];
		if (match && conditions === 'none')
			refuse(501, 'NotImplemented');
		if (match && objects.has(key) && match !== `"${objects.get(key).etag}"`)
			refuse(412, 'PreconditionFailed');
		objects.delete(key);
		return [{}, null, 204];
	},
};
operations.HeadObject = (req, key) => {
	const answer = operations.GetObject(req, key);
	if (swap === key) {
		const data = Buffer.from('another');
		objects.set(key, { ...objects.get(key), data, etag: md5(data).toString('hex'), algorithm: undefined });
		swap = '';
	}
	return answer;
};

function operation(method, query, copies) {
	if (query.has('uploads'))
		return method === 'POST' ? 'CreateMultipartUpload' : 'ListMultipartUploads';
	if (query.has('uploadId'))
		return { PUT: copies ? 'UploadPartCopy' : 'UploadPart', POST: 'CompleteMultipartUpload', GET: 'ListParts', DELETE: 'AbortMultipartUpload' }[method];
	return { PUT: copies ? 'CopyObject' : 'PutObject', GET: 'GetObject', HEAD: 'HeadObject', DELETE: 'DeleteObject' }[method];
}

function control(path, body) {
	if (path === '/-/wrong')
		wrong = body.toString();
	else if (path === '/-/encrypt')
		[encrypt, quiet] = [body.toString().split(' ')[0], body.toString().endsWith(' quiet')];
	else if (path === '/-/deny')
		deny = body.toString().split(' ');
	else if (path === '/-/swap')
		swap = body.toString();
	else if (path === '/-/conditions')
		conditions = body.toString();
	else if (path === '/-/keys')
		Object.assign(keys, JSON.parse(body));
	else if (path === '/-/headers')
		extra = JSON.parse(body);
	else if (path === '/-/behave')
		ways = JSON.parse(body);
	else if (path === '/-/objects')
		return JSON.stringify(Object.fromEntries([...objects].map(([key, o]) => [key, { encryption: o.how.kind, key: o.how.key }])));
	else if (path === '/-/reset')
		reset();
	return path === '/-/log' ? JSON.stringify(log) : '{}';
}

function answer(req, body) {
	const url = new URL(req.url, 'http://endpoint'), name = operation(req.method, url.searchParams, req.headers['x-amz-copy-source']);
	const [, bucket, key] = /^\/([^/]*)\/?(.*)$/s.exec(decodeURIComponent(req.url.split('?')[0]));
	const upload = uploads.get(url.searchParams.get('uploadId'));
	try {
		const bad = check(req, url, keys);
		if (bad)
			refuse(...bad);
		if (deny.includes(name))
			refuse(403, 'AccessDenied', 'Access Denied');
		if (bucket !== values.bucket)
			refuse(404, 'NoSuchBucket');
		if (url.searchParams.has('uploadId') && (!upload || upload.key !== key))
			refuse(404, 'NoSuchUpload');
		const [headers, document, status] = operations[name](req, key, url, body, upload);
		if (does('weak', name))
			headers.ETag = `W/${headers.ETag}`;
		log.push([name, status || 200, '']);
		return [status || 200, headers, document];
	} catch (e) {
		if (!(e instanceof Refusal))
			console.error(e);
		log.push([name, e.status || 500, e.code || 'InternalError']);
		return [e.status || 500, {}, xml('Error', xml('Code', e.code || 'InternalError'), xml('Message', escape(e.message)),
			e.signed ? xml('CanonicalRequest', escape(e.signed)) : '')];
	}
}

reset();
const server = http.createServer({ maxHeaderSize: 64 * 1024 }, async (req, res) => {
	const pieces = [];
	try {
		for await (const piece of req)
			pieces.push(piece);
	} catch (e) {
		return; /* the client is gone; nothing is stored */
	}
	const body = Buffer.concat(pieces);
	if (req.url.startsWith('/-/'))
		return res.end(control(req.url, body));
	const [status, headers, document] = answer(req, body);
	res.writeHead(status, { ...headers, 'Content-Length': document ? Buffer.byteLength(document) : 0 });
	res.end(req.method === 'HEAD' ? undefined : document || undefined);
});
server.requestTimeout = 0;
server.keepAliveTimeout = 65000;
server.listen(Number(values.port), '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
