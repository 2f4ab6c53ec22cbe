'use strict';
/* Puts a file into a bucket of the COS endpoint on loopback, with the vendor's client: put.js PORT BUCKET ID SECRET FILE KEY */
const COS = require('cos-nodejs-sdk-v5');
const [port, Bucket, SecretId, SecretKey, FilePath, Key] = process.argv.slice(2);
const cos = new COS({ SecretId, SecretKey, Protocol: 'http:', Ip: `127.0.0.1:${port}` });

cos.uploadFile({ Bucket, Region: 'ap-guangzhou', Key, FilePath, SliceSize: 64 << 20 }).catch((e) => {
	console.error(e);
	process.exit(1);
});
