'use strict';
/*
 * Runs the vendor's own client against the endpoint: the endpoint must serve this client, and refuse what Amazon's servers
 * refuse.
 *
 *   node client.js PORT BUCKET ID SECRET
 *
 * Prints a JSON object of booleans, which should all be true.
 */
const { Readable } = require('stream');
const s3 = require('@aws-sdk/client-s3');
const { sums } = require('./sums');

const [port, Bucket, accessKeyId, secretAccessKey] = process.argv.slice(2);
const client = new s3.S3Client({ endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1,
	credentials: { accessKeyId, secretAccessKey } });
const send = (name, input) => client.send(new s3[`${name}Command`]({ Bucket, Key: 'sdk', ...input }));
const refusal = (promise) => promise.then(() => '', (e) => e.name);
const bodies = [Buffer.alloc((5 << 20) + 3, 'abc'), Buffer.from('the last part')];
const whole = sums.CRC32C.of(bodies);

async function upload(type, finish) {
	const { UploadId, ChecksumAlgorithm, ChecksumType } = await send('CreateMultipartUpload', { ChecksumAlgorithm: 'CRC32C',
		ChecksumType: type });
	const Parts = [];
	for (const [i, Body] of bodies.entries()) {
		const part = await send('UploadPart', { UploadId, PartNumber: i + 1, Body, ChecksumAlgorithm: 'CRC32C' });
		Parts.push({ PartNumber: i + 1, ETag: part.ETag, ChecksumCRC32C: part.ChecksumCRC32C });
	}
	const listed = await send('ListParts', { UploadId });
	const agreed = ChecksumAlgorithm === 'CRC32C' && ChecksumType === type && listed.ChecksumAlgorithm === 'CRC32C' &&
		listed.Parts.every((p, i) => p.ChecksumCRC32C === sums.CRC32C.of([bodies[i]]) && p.ETag === Parts[i].ETag);
	return { agreed, answer: await finish({ UploadId, MultipartUpload: { Parts } }, Parts) };
}

async function main() {
	const found = {};
	const streamed = await send('PutObject', { Body: Readable.from(bodies), ContentLength: Buffer.concat(bodies).length,
		ChecksumAlgorithm: 'CRC32C' });
	found['a stream with a trailer'] = streamed.ChecksumCRC32C === whole;
	const own = await send('PutObject', { Body: 'x' });
	found['CRC32, which it takes by itself'] = own.ChecksumCRC32 === sums.CRC32.of([Buffer.from('x')]);
	found['a wrong sum is refused'] = await refusal(send('PutObject', { Body: 'x', ChecksumCRC32C: 'AAAAAA==' })) === 'BadDigest';
	const full = await upload('FULL_OBJECT', (input) => send('CompleteMultipartUpload', { ...input, ChecksumCRC32C: whole,
		ChecksumType: 'FULL_OBJECT' }));
	found['a full object'] = full.agreed && full.answer.ChecksumCRC32C === whole;
	const head = await send('HeadObject', { ChecksumMode: 'ENABLED' });
	found['its HEAD'] = head.ChecksumCRC32C === whole && head.ChecksumType === 'FULL_OBJECT';
	const got = await send('GetObject', { ChecksumMode: 'ENABLED' });
	found['its bytes, which the client checks'] = Buffer.concat(bodies).equals(Buffer.from(await got.Body.transformToByteArray()));
	const composite = await upload('COMPOSITE', (input) => send('CompleteMultipartUpload', input));
	found['a composite one'] = composite.agreed && composite.answer.ChecksumCRC32C.endsWith('-2');
	const wrong = await upload('FULL_OBJECT', (input) => refusal(send('CompleteMultipartUpload', { ...input,
		ChecksumCRC32C: 'AAAAAA==', ChecksumType: 'FULL_OBJECT' })));
	found['a wrong sum of the whole'] = wrong.answer === 'BadDigest';
	const part = await upload('FULL_OBJECT', (input, parts) => {
		parts[1].ChecksumCRC32C = 'AAAAAA==';
		return refusal(send('CompleteMultipartUpload', input));
	});
	found['a wrong sum of a part'] = part.answer === 'InvalidPart';
	console.log(JSON.stringify(found));
}

main();
