'use strict';
/*
 * A COS endpoint for the tests, which also judges independently what a client sends: see sign.js, ops.js, faults.js.
 * Its hosts are BUCKET-APPID.cos.REGION.myqcloud.com; the client must be configured to find them on 127.0.0.1.
 *
 *   node main.js --dir DIR --bucket NAME... --key ID:SECRET[:TOKEN]... [--region R] [--port N] [--control N]
 *        [--rate BYTES_PER_SECOND] [--complete-delay MS] [--tls-cert FILE --tls-key FILE]
 *
 * Prints {"port":…,"control":…} when it listens.  It exits when its stdin ends (unless that is a terminal or /dev/null), so
 * that it cannot outlive the test that started it.  The control port speaks JSON:
 *   GET /objects /uploads /log    stored objects, open uploads, all requests
 *   GET /counters /held           received bytes by key and part, the number of held requests
 *   POST /faults [rules]          see faults.js
 *   POST /rate {"bytes"}          bytes a second of all bodies together, 0 for no limit
 *   POST /keys {id: key}          accepts these keys from now on, too: {secret, token, until}, see sign.js; null ends one
 *   POST /release                 lets held requests go on
 *   POST /reset /forget           forgets everything; forgets log, counters and faults only
 */
const fs = require('fs');
const http = require('http');
const https = require('https');
const { parseArgs } = require('util');
const { Store } = require('./store');
const { Faults, Record, Rate } = require('./faults');
const { Endpoint } = require('./http');

const { values } = parseArgs({ options: {
	dir: { type: 'string' }, bucket: { type: 'string', multiple: true, default: [] },
	key: { type: 'string', multiple: true, default: [] }, region: { type: 'string', default: 'ap-guangzhou' },
	port: { type: 'string', default: '0' }, control: { type: 'string', default: '0' }, rate: { type: 'string', default: '0' },
	'complete-delay': { type: 'string', default: '200' }, 'tls-cert': { type: 'string' }, 'tls-key': { type: 'string' },
} });
if (!values.dir) {
	console.error('usage: main.js --dir DIR --bucket NAME... --key ID:SECRET[:TOKEN]...');
	process.exit(64);
}

const keys = {};
function resetKeys() {
	for (const id of Object.keys(keys))
		delete keys[id];
	for (const spec of values.key) {
		const [id, secret, token] = spec.split(':');
		keys[id] = { secret, token };
	}
}
resetKeys();
const store = new Store(values.dir, values.bucket);
const faults = new Faults(), record = new Record(), rate = new Rate(Number(values.rate));
const endpoint = new Endpoint({ store, faults, record, rate, keys, region: values.region,
	completeDelay: Number(values['complete-delay']) });

const views = {
	'/objects': () => [...store.objects.values()].map((o) => ({ bucket: o.bucket, key: o.key, size: o.size, etag: o.etag,
		crc64: o.crc.toString(), headers: o.headers, parts: o.segments.length, files: o.segments.map((s) => s.file),
		puts: store.puts.get(`${o.bucket}/${o.key}`) })),
	'/uploads': () => [...store.uploads.values()].map((u) => ({ bucket: u.bucket, key: u.key, id: u.id,
		parts: [...u.parts.keys()] })),
	'/log': () => record.log,
	'/counters': () => record.received,
	'/held': () => faults.waiting.length,
};
const commands = {
	'/faults': (rules) => faults.set(rules),
	'/rate': (r) => rate.set(r.bytes),
	'/keys': (more) => { Object.assign(keys, more); },
	'/release': () => faults.release(),
	'/forget': () => { faults.clear(); record.reset(); rate.set(0); },
	'/reset': () => { resetKeys(); faults.clear(); record.reset(); rate.set(0); store.reset(); },
};

const control = http.createServer(async (req, res) => {
	try {
		let text = '';
		for await (const chunk of req)
			text += chunk;
		const known = req.method === 'GET' ? views[req.url] : commands[req.url];
		const answer = known ? known(text ? JSON.parse(text) : undefined) : null;
		res.writeHead(known ? 200 : 404, { 'content-type': 'application/json' });
		res.end(JSON.stringify(answer === undefined ? {} : answer));
	} catch (e) {
		res.writeHead(400);
		res.end(String(e));
	}
});

const limits = { maxHeaderSize: 64 * 1024 };
const serve = (req, res) => endpoint.serve(req, res);
const server = values['tls-cert']
	? https.createServer({ ...limits, cert: fs.readFileSync(values['tls-cert']), key: fs.readFileSync(values['tls-key']) }, serve)
	: http.createServer(limits, serve);
server.requestTimeout = 0;
server.keepAliveTimeout = 65000;
server.listen(Number(values.port), '127.0.0.1', () => control.listen(Number(values.control), '127.0.0.1', () =>
	console.log(JSON.stringify({ port: server.address().port, control: control.address().port }))));

if (!process.stdin.isTTY && !fs.fstatSync(0).isCharacterDevice()) {
	process.stdin.resume();
	process.stdin.on('end', () => process.exit(0));
}
