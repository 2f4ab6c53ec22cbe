'use strict';
/*
 * What the endpoint keeps: bodies in files below one directory, everything else in memory.  An object is a list of such files, so
 * that completing an upload of any size moves no byte.
 */
const fs = require('fs');
const path = require('path');
const crypto = require('crypto');
const { Crc64, combine } = require('./crc64');

/*
 * Nobody can compute these from the data.  That of an object made of parts is another each time; that of one body is the same for
 * the same bytes, since a request of a client that died may arrive, whole, after its successor has sent that part again.
 */
const salt = crypto.randomBytes(16);
const objectEtag = () => crypto.randomBytes(16).toString('hex');
const bodyEtag = (crc, size) => crypto.createHmac('sha256', salt).update(`${crc} ${size}`).digest('hex').slice(0, 32);

/* One body on its way into a file, its CRC with it. */
class Body {
	constructor(file) {
		this.file = file;
		this.fd = fs.openSync(file, 'w');
		this.size = 0;
		this.crc = new Crc64();
	}

	write(chunk) {
		for (let done = 0; done < chunk.length;)
			done += fs.writeSync(this.fd, chunk, done, chunk.length - done);
		this.crc.update(chunk);
		this.size += chunk.length;
	}

	close() {
		if (this.fd >= 0)
			fs.closeSync(this.fd);
		this.fd = -1;
		const crc = this.crc.value();
		return { file: this.file, size: this.size, crc, etag: bodyEtag(crc, this.size) };
	}

	discard() {
		this.close();
		fs.rmSync(this.file, { force: true });
	}
}

class Store {
	constructor(dir, buckets) {
		this.dir = dir;
		this.buckets = new Set(buckets);
		this.serial = 0;
		this.objects = new Map(); /* "bucket/key" to object */
		this.uploads = new Map(); /* id to upload */
		this.puts = new Map();	  /* "bucket/key" to how often it was written */
		fs.mkdirSync(dir, { recursive: true });
	}

	newBody() {
		return new Body(path.join(this.dir, String(++this.serial)));
	}

	static release(segments) {
		for (const segment of segments)
			fs.rmSync(segment.file, { force: true });
	}

	/* A GET under way of an object that is replaced meanwhile is cut; a client must cope with that anyway. */
	put(bucket, key, segments, etag, headers) {
		const name = `${bucket}/${key}`;
		const old = this.objects.get(name);
		let size = 0, crc = 0n;
		for (const segment of segments) {
			crc = combine(crc, segment.crc, segment.size);
			size += segment.size;
		}
		const object = { bucket, key, segments, size, crc, etag, headers, modified: new Date() };
		this.objects.set(name, object);
		this.puts.set(name, (this.puts.get(name) || 0) + 1);
		if (old)
			Store.release(old.segments);
		return object;
	}

	/* A range of an object as a body of its own. */
	copyRange(object, first, size, corrupt) {
		const body = this.newBody(), buf = Buffer.allocUnsafe(1 << 20);
		let skip = first, left = size;
		for (const segment of object.segments) {
			if (skip >= segment.size) {
				skip -= segment.size;
				continue;
			}
			const fd = fs.openSync(segment.file, 'r');
			for (let at = skip; at < segment.size && left > 0;) {
				const n = fs.readSync(fd, buf, 0, Math.min(buf.length, left, segment.size - at), at);
				if (corrupt && body.size === 0)
					buf[0] ^= 1;
				body.write(buf.subarray(0, n));
				at += n;
				left -= n;
			}
			fs.closeSync(fd);
			skip = 0;
		}
		return body.close();
	}

	get(bucket, key) {
		return this.objects.get(`${bucket}/${key}`);
	}

	remove(bucket, key) {
		const old = this.get(bucket, key);
		if (old) {
			this.objects.delete(`${bucket}/${key}`);
			Store.release(old.segments);
		}
	}

	begin(bucket, key, headers) {
		const id = `${Date.now()}${crypto.randomBytes(20).toString('hex')}`;
		this.uploads.set(id, { id, bucket, key, headers, parts: new Map(), started: new Date() });
		return id;
	}

	upload(bucket, key, id) {
		const upload = this.uploads.get(id);
		return upload && upload.bucket === bucket && upload.key === key ? upload : null;
	}

	setPart(upload, number, part) {
		const old = upload.parts.get(number);
		upload.parts.set(number, part);
		if (old)
			Store.release([old]);
	}

	/* Parts that the list leaves out are thrown away, as the store does. */
	complete(upload, numbers) {
		const segments = numbers.map((n) => upload.parts.get(n));
		for (const [n, part] of upload.parts)
			if (!numbers.includes(n))
				Store.release([part]);
		this.uploads.delete(upload.id);
		return this.put(upload.bucket, upload.key, segments, `${objectEtag()}-${numbers.length}`, upload.headers);
	}

	abort(upload) {
		this.uploads.delete(upload.id);
		Store.release([...upload.parts.values()]);
	}

	reset() {
		for (const upload of [...this.uploads.values()])
			this.abort(upload);
		for (const object of [...this.objects.values()])
			this.remove(object.bucket, object.key);
		this.puts.clear();
	}
}

module.exports = { Store };
