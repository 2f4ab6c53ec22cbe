'use strict';
/*
 * The data of the endpoint: bodies are files in one directory, everything else is in memory.  An object is a list of such
 * files, so that completing an upload of any size moves no byte.
 */
const fs = require('fs');
const path = require('path');
const crypto = require('crypto');
const { Crc64, combine } = require('./crc64');

/*
 * A client cannot compute these ETags from the data.  An object of parts gets a new ETag each time.  Equal bodies get equal
 * ETags, because a dead client's request may arrive after its successor has sent the same part again.
 */
const salt = crypto.randomBytes(16);
const objectEtag = () => crypto.randomBytes(16).toString('hex');
const bodyEtag = (crc, size) => crypto.createHmac('sha256', salt).update(`${crc} ${size}`).digest('hex').slice(0, 32);

/* A body that is written to a file, and its CRC. */
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
		this.puts = new Map();	  /* "bucket/key" to the number of writes */
		fs.mkdirSync(dir, { recursive: true });
	}

	newBody() {
		return new Body(path.join(this.dir, String(++this.serial)));
	}

	static release(segments) {
		for (const segment of segments)
			fs.rmSync(segment.file, { force: true });
	}

	/* Replacing an object cuts its running GETs; a client must cope with that anyway. */
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

	/* Copies a range of an object to a new body. */
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

	/* Makes the object; discards parts that are not in the list, as the store does. */
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
