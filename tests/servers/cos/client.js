'use strict';
/*
 * Runs the vendor's own client against the endpoint, to show that the endpoint behaves as that client expects.  Prints one JSON
 * object with what the client saw; the test that starts this program judges it.
 *
 *   node client.js PORT BUCKET REGION ID SECRET FILE      (FILE: at least 3 MB, uploaded in slices)
 */
const COS = require('cos-nodejs-sdk-v5');
const crypto = require('crypto');
const fs = require('fs');

const [port, Bucket, Region, SecretId, SecretKey, file] = process.argv.slice(2);
/* With Ip, the client connects to that address and keeps the host in the Host header, without a name lookup. */
const options = { SecretId, SecretKey, Protocol: 'http:', Ip: `127.0.0.1:${port}`, FileParallelLimit: 2, ChunkParallelLimit: 2 };
const cos = new COS(options);
const sha = (data) => crypto.createHash('sha256').update(data).digest('hex');
const code = (promise) => promise.then(() => 'no error', (e) => e.code || (e.error && e.error.Code) || String(e));

async function main() {
	const seen = {};
	const at = { Bucket, Region };
	const odd = "odd/ü 日本 +&=%~?#'()*!:;@,$ //../x";

	const body = Buffer.from('[Object Part]');
	const put = await cos.putObject({ ...at, Key: odd, Body: body, ContentType: 'text/x-test',
		Headers: { 'x-cos-meta-colour': 'green' } });
	seen.putCrc = put.headers['x-cos-hash-crc64ecma'];
	const head = await cos.headObject({ ...at, Key: odd });
	seen.headCrc = head.headers['x-cos-hash-crc64ecma'];
	seen.headLength = head.headers['content-length'];
	seen.headType = head.headers['content-type'];
	seen.headMeta = head.headers['x-cos-meta-colour'];
	seen.body = (await cos.getObject({ ...at, Key: odd })).Body.toString();
	seen.range = (await cos.getObject({ ...at, Key: odd, Range: 'bytes=1-6' })).Body.toString();
	seen.ifMatch = await code(cos.getObject({ ...at, Key: odd, IfMatch: '"0"' }));

	const whole = fs.readFileSync(file);
	const slices = await cos.sliceUploadFile({ ...at, Key: 'sliced', FilePath: file, SliceSize: 1, ChunkSize: 1024 * 1024 });
	seen.slicedEtag = slices.ETag;
	const back = await cos.getObject({ ...at, Key: 'sliced' });
	seen.slicedSame = sha(back.Body) === sha(whole);
	seen.slicedCrc = back.headers['x-cos-hash-crc64ecma'];

	const init = await cos.multipartInit({ ...at, Key: 'by hand' });
	const UploadId = init.UploadId;
	const parts = [];
	for (let n = 1; n <= 3; n++) {
		const p = await cos.multipartUpload({ ...at, Key: 'by hand', UploadId, PartNumber: n,
			Body: Buffer.alloc(1024 * 1024, n) });
		parts.push({ PartNumber: n, ETag: p.ETag });
	}
	const first = await cos.multipartListPart({ ...at, Key: 'by hand', UploadId, MaxParts: 2 });
	seen.pageOne = first.Part.map((p) => p.PartNumber).join();
	seen.pageOneTruncated = first.IsTruncated;
	const second = await cos.multipartListPart({ ...at, Key: 'by hand', UploadId, MaxParts: 2,
		PartNumberMarker: first.NextPartNumberMarker });
	seen.pageTwo = second.Part.map((p) => p.PartNumber).join();
	seen.uploads = (await cos.multipartList({ ...at })).Upload.map((u) => u.Key).join();
	seen.gap = await code(cos.multipartComplete({ ...at, Key: 'by hand', UploadId, Parts: [parts[0], parts[2]] }));
	seen.completed = (await cos.multipartComplete({ ...at, Key: 'by hand', UploadId, Parts: parts })).ETag;
	seen.again = await code(cos.multipartComplete({ ...at, Key: 'by hand', UploadId, Parts: parts }));

	const other = await cos.multipartInit({ ...at, Key: 'dropped' });
	await cos.multipartAbort({ ...at, Key: 'dropped', UploadId: other.UploadId });
	seen.afterAbort = await code(cos.multipartListPart({ ...at, Key: 'dropped', UploadId: other.UploadId }));
	await cos.deleteObject({ ...at, Key: 'sliced' });
	seen.afterDelete = await code(cos.getObject({ ...at, Key: 'sliced' }));

	const stranger = new COS({ ...options, SecretKey: 'another' });
	seen.wrongSecret = await code(stranger.getObject({ ...at, Key: odd }));
	seen.unknownKey = await code(new COS({ ...options, SecretId: 'nobody' }).getObject({ ...at, Key: odd }));
	seen.otherBucket = await code(cos.getObject({ ...at, Bucket: 'absent-1250000000', Key: odd }));
	console.log(JSON.stringify(seen));
}

main().catch((e) => {
	console.error(e);
	process.exit(1);
});
