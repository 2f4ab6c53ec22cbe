'use strict';
/*
 * Handles one request from its first line to its last byte: address, signature, faults, bodies in both directions.
 */
const fs = require('fs');
const crypto = require('crypto');
const { verify, Refusal } = require('./sign');
const { operations, before, classify, errorXml } = require('./ops');

const KEY_MAX = 850;
const TEXT_MAX = 4 * 1024 * 1024;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* Returns decoded names and values; '+' stays '+'. */
function parseQuery(text) {
	const query = new Map();
	for (const pair of text ? text.split('&') : []) {
		const at = pair.indexOf('=');
		const name = at < 0 ? pair : pair.slice(0, at);
		if (name !== '')
			query.set(decodeURIComponent(name), at < 0 ? '' : decodeURIComponent(pair.slice(at + 1)));
	}
	return query;
}

/* Fills in path, key, query and host of the request; never throws, whatever the client sent. */
function parse(req) {
	const at = req.url.indexOf('?');
	const r = { method: req.method, headers: req.headers, bucket: '', key: '', bytes: 0, query: new Map(),
		length: Number(req.headers['content-length'] || 0) };
	r.host = (req.headers.host || '').replace(/:\d+$/, '').toLowerCase();
	try {
		r.path = decodeURIComponent(at < 0 ? req.url : req.url.slice(0, at));
		r.query = parseQuery(at < 0 ? '' : req.url.slice(at + 1));
	} catch (e) {
		r.path = null;
		return r;
	}
	r.key = r.path.slice(1);
	r.op = classify(req.method, r.key, r.query, req.headers);
	if (r.query.has('partNumber'))
		r.part = Number(r.query.get('partNumber'));
	const m = /^([a-z0-9-]+)\.cos\.([a-z0-9-]+)\.myqcloud\.com$/.exec(r.host);
	if (m) {
		r.bucket = m[1];
		r.region = m[2];
	}
	return r;
}

class Endpoint {
	constructor({ store, faults, record, rate, keys, region, completeDelay }) {
		Object.assign(this, { store, faults, record, rate, keys, region, completeDelay });
	}

	checkAddress(r) {
		if (r.path === null)
			throw new Refusal(400, 'InvalidURI', 'Could not parse the specified URI');
		if (/^cos\.[a-z0-9-]+\.myqcloud\.com$/.test(r.host))
			throw new Refusal(403, 'PathStyleDomainForbidden', 'The path style domain is forbidden');
		if (r.bucket === '' || r.region !== this.region || !this.store.buckets.has(r.bucket))
			throw new Refusal(404, 'NoSuchBucket', 'The specified bucket does not exist');
		if (r.op === null)
			throw new Refusal(405, 'MethodNotAllowed', 'The specified method is not allowed against this resource');
		if (Buffer.byteLength(r.key) > KEY_MAX)
			throw new Refusal(400, 'KeyTooLong', 'Your key is too long');
	}

	/* Reads the request's body into r.body (a file) or r.text.  Rejects if the client goes away before the end. */
	receive(req, r, action) {
		const toFile = r.op === 'put' || r.op === 'part';
		if (toFile && req.headers['content-length'] === undefined)
			throw new Refusal(411, 'MissingContentLength', 'You must provide the Content-Length HTTP header');
		r.body = toFile ? this.store.newBody() : null;
		const md5 = toFile && req.headers['content-md5'] ? crypto.createHash('md5') : null;
		const slow = action.slow ? new this.rate.constructor(action.slow) : this.rate;
		let chunks = [];
		return new Promise((resolve, reject) => {
			req.on('data', (chunk) => {
				r.bytes += chunk.length;
				if (toFile) {
					this.record.count(r, chunk.length);
					if (action.corrupt && r.body.size === 0)
						chunk[0] ^= 1;
					r.body.write(chunk);
					if (md5)
						md5.update(chunk);
				} else if (r.bytes <= TEXT_MAX) {
					chunks.push(chunk);
				}
				if (action.close === 'mid' && r.bytes >= (action.bytes || 1))
					req.destroy();
				const wait = toFile ? slow.wait(chunk.length) : 0;
				if (wait > 5) {
					req.pause();
					setTimeout(() => req.resume(), wait);
				}
			});
			req.on('end', () => {
				r.text = Buffer.concat(chunks).toString();
				r.md5 = md5 && md5.digest('base64');
				resolve();
			});
			req.on('close', () => reject(new Error('gone')));
		});
	}

	async send(req, res, r, action, answer) {
		const headers = { ...answer.headers, server: 'tencent-cos', 'x-cos-request-id': crypto.randomBytes(12).toString('hex') };
		if (action.crc === 'wrong' && headers['x-cos-hash-crc64ecma'])
			headers['x-cos-hash-crc64ecma'] = String(BigInt(headers['x-cos-hash-crc64ecma']) ^ 1n);
		if (action.crc === 'none')
			delete headers['x-cos-hash-crc64ecma'];
		if (action.etag === 'lie' && headers.etag)
			headers.etag = `"${'0'.repeat(32)}"`;
		if (action.etag === 'none')
			delete headers.etag;
		const body = answer.body;
		if (body !== undefined) {
			headers['content-type'] = 'application/xml';
			headers['content-length'] = Buffer.byteLength(body);
		}
		if (answer.finish)
			return this.sendLater(res, r, action, headers, answer);
		res.writeHead(answer.status, headers);
		if (answer.object && req.method === 'GET')
			return this.sendObject(res, r, action, answer, headers['content-length']);
		res.end(body !== undefined && req.method !== 'HEAD' ? body : undefined);
	}

	outcome(r, action, answer) {
		try {
			if (action.completeError)
				throw new Refusal(200, action.completeError, 'as ordered');
			return answer.finish();
		} catch (e) {
			if (!(e instanceof Refusal))
				throw e;
			return { body: errorXml(e.code, e.message, `/${r.key}`), code: e.code };
		}
	}

	/* Answers Complete and copies: first the status, then spaces while the endpoint works, then the outcome. */
	async sendLater(res, r, action, headers, answer) {
		res.writeHead(200, { ...headers, 'content-type': 'application/xml' });
		if (action.hold === 'work')
			await this.faults.held();
		for (const end = Date.now() + this.completeDelay; Date.now() < end; await sleep(50))
			res.write(' ');
		const outcome = this.outcome(r, action, answer);
		r.code = outcome.code;
		if (action.close === 'after')
			return res.destroy();
		res.end(action.truncate ? outcome.body.slice(0, outcome.body.length / 2) : outcome.body);
	}

	async sendObject(res, r, action, answer, length) {
		const buf = Buffer.allocUnsafe(512 * 1024);
		const slow = action.slow ? new this.rate.constructor(action.slow) : this.rate;
		let skip = answer.first, left = length;
		r.sent = 0;
		for (const segment of answer.object.segments) {
			if (skip >= segment.size) {
				skip -= segment.size;
				continue;
			}
			const fd = fs.openSync(segment.file, 'r');
			try {
				for (let at = skip; at < segment.size && left > 0 && !res.destroyed;) {
					const n = fs.readSync(fd, buf, 0, Math.min(buf.length, left, segment.size - at), at);
					at += n;
					left -= n;
					r.sent += n;
					await new Promise((resolve) => {
						res.once('close', resolve);
						res.write(buf.subarray(0, n), () => { res.off('close', resolve); resolve(); });
					});
					if (action.close === 'mid' && r.sent >= (action.bytes || 1))
						return res.destroy();
					await sleep(slow.wait(n));
				}
			} finally {
				fs.closeSync(fd);
			}
			skip = 0;
		}
		res.end();
	}

	/* Sends that many bytes of response headers. */
	async flood(req, res, bytes, oneLine) {
		const line = Buffer.from(oneLine ? 'f'.repeat(65536) : `X-Flood: ${'f'.repeat(1000)}\r\n`.repeat(64));
		req.resume();
		res.socket.write(`HTTP/1.1 200 OK\r\n${oneLine ? 'X-Flood: ' : ''}`);
		for (let sent = 0; sent < bytes && !res.socket.destroyed; sent += line.length)
			if (!res.socket.write(line))
				await Promise.race([new Promise((go) => res.socket.once('drain', go)),
					new Promise((go) => res.socket.once('close', go))]);
		res.destroy();
	}

	refuse(req, res, r, status, code, message, signed) {
		const body = errorXml(code, message, `/${r.key}`, signed);
		r.code = code;
		req.resume();
		res.writeHead(status, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(body) });
		res.end(req.method === 'HEAD' || status === 304 ? undefined : body);
	}

	/* As nginx does: it answers when it has the head, and reads what comes for a while. */
	refuseAsProxy(req, res, action) {
		const page = `<html><head><title>${action.status}</title></head><body>${action.proxy}</body></html>`;
		req.resume();
		res.writeHead(action.status, { server: action.proxy, 'content-type': 'text/html', 'content-length': page.length,
			connection: 'close' });
		res.end(req.method === 'HEAD' ? undefined : page);
	}

	async act(req, res, r, action) {
		if (action.delay)
			await sleep(action.delay);
		if (action.hold === true)
			await this.faults.held();
		if (action.close === 'before')
			return res.destroy();
		if (action.early) {
			res.socket.end(`HTTP/1.1 200 OK\r\nETag: "${'0'.repeat(32)}"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
			await sleep(1000);
			return res.destroy();
		}
		if (action.flood)
			return this.flood(req, res, action.flood, action.line);
		if (action.proxy && !action.late)
			return this.refuseAsProxy(req, res, action);
		if (action.status && !action.late)
			throw new Refusal(action.status, action.code || 'InternalError', action.message || 'as ordered');
		if (action.page !== undefined) {
			req.resume();
			await new Promise((go) => req.on('end', go));
			res.writeHead(action.pageStatus || 200, { server: 'proxy', 'content-type': 'text/html', 'content-length': Buffer.byteLength(action.page) });
			return res.end(req.method === 'HEAD' ? undefined : action.page);
		}
		this.checkAddress(r);
		verify(r, this.keys);
		r.corrupt = action.corrupt;
		r.perPage = action.perPage;
		if (before[r.op])
			before[r.op](this.store, r);
		await this.receive(req, r, action);
		if (action.body !== undefined && r.body)
			r.body.discard();
		const answer = action.body !== undefined ? { status: 200, body: action.body } : operations[r.op](this.store, r);
		if (action.close === 'after' && !answer.finish)
			return res.destroy();
		if (action.late)
			return this.refuseAsProxy(req, res, action);
		if (action.hold === 'answer')
			await this.faults.held();
		await this.send(req, res, r, action, answer);
	}

	async serve(req, res) {
		const r = parse(req), started = Date.now(), peer = req.socket.remotePort;
		const action = this.faults.take(r);
		res.on('close', () => this.record.add({ time: started, ms: Date.now() - started, op: r.op, method: r.method,
			bucket: r.bucket, key: r.key, part: r.part, length: r.length, bytes: r.bytes, sent: r.sent, status: res.statusCode,
			code: r.code, finished: res.writableFinished, range: req.headers.range, peer }));
		try {
			await this.act(req, res, r, action);
		} catch (e) {
			if (r.body)
				r.body.discard();
			if (!(e instanceof Refusal) && e.message !== 'gone')
				console.error(e);
			if (res.headersSent || res.destroyed || e.message === 'gone')
				res.destroy();
			else if (e instanceof Refusal)
				this.refuse(req, res, r, e.status, e.code, e.message, e.signed);
			else
				this.refuse(req, res, r, 500, 'InternalError', String(e));
		}
	}
}

module.exports = { Endpoint };
