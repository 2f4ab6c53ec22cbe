'use strict';
/*
 * CRC-64/XZ, which COS calls x-cos-hash-crc64ecma: polynomial 0x42F0E1EBA9EA3693 reflected, init and xorout all ones, check
 * value of "123456789" 0x995dc9bbdf1939fa.  It takes eight bytes at a time in pairs of 32-bit halves, because a BigInt for
 * each byte would be a hundred times slower.  It shares nothing with the code that it judges.
 *
 * As a program, crc64.js FILE... prints the CRC of each file (- is stdin) on a line, in unsigned decimal.
 */
const POLY = 0xc96c5795d7870f42n;
const LO = new Int32Array(8 * 256);
const HI = new Int32Array(8 * 256);

for (let n = 0; n < 256; n++) {
	let crc = BigInt(n);
	for (let bit = 0; bit < 8; bit++)
		crc = crc & 1n ? (crc >> 1n) ^ POLY : crc >> 1n;
	LO[n] = Number(crc & 0xffffffffn) | 0;
	HI[n] = Number(crc >> 32n) | 0;
}
for (let n = 0; n < 256; n++) {
	for (let k = 1; k < 8; k++) {
		const i = (k - 1) * 256 + n, low = LO[i] & 0xff;
		LO[k * 256 + n] = ((LO[i] >>> 8) | (HI[i] << 24)) ^ LO[low];
		HI[k * 256 + n] = (HI[i] >>> 8) ^ HI[low];
	}
}

class Crc64 {
	constructor() {
		this.lo = -1;
		this.hi = -1;
	}

	bytes(buf, from, to) {
		let lo = this.lo, hi = this.hi;
		for (let i = from; i < to; i++) {
			const n = (lo ^ buf[i]) & 0xff;
			lo = ((lo >>> 8) | (hi << 24)) ^ LO[n];
			hi = (hi >>> 8) ^ HI[n];
		}
		this.lo = lo;
		this.hi = hi;
	}

	update(buf) {
		const head = Math.min(buf.length, (4 - (buf.byteOffset & 3)) & 3);
		const pairs = (buf.length - head) >>> 3;
		this.bytes(buf, 0, head);
		if (pairs > 0) {
			const words = new Int32Array(buf.buffer, buf.byteOffset + head, pairs * 2);
			let lo = this.lo, hi = this.hi;
			for (let i = 0; i < words.length; i += 2) {
				const a = lo ^ words[i], b = hi ^ words[i + 1];
				const a0 = 1792 + (a & 255), a1 = 1536 + ((a >>> 8) & 255), a2 = 1280 + ((a >>> 16) & 255),
					a3 = 1024 + (a >>> 24), b0 = 768 + (b & 255), b1 = 512 + ((b >>> 8) & 255),
					b2 = 256 + ((b >>> 16) & 255), b3 = b >>> 24;
				lo = LO[a0] ^ LO[a1] ^ LO[a2] ^ LO[a3] ^ LO[b0] ^ LO[b1] ^ LO[b2] ^ LO[b3];
				hi = HI[a0] ^ HI[a1] ^ HI[a2] ^ HI[a3] ^ HI[b0] ^ HI[b1] ^ HI[b2] ^ HI[b3];
			}
			this.lo = lo;
			this.hi = hi;
		}
		this.bytes(buf, head + pairs * 8, buf.length);
		return this;
	}

	/* Returns a BigInt; headers hold its toString(). */
	value() {
		return (BigInt(~this.hi >>> 0) << 32n) | BigInt(~this.lo >>> 0);
	}
}

/* Returns a times b modulo the polynomial; both are reflected: the highest bit is x^0. */
function multiply(a, b) {
	let product = 0n;
	for (let bit = 1n << 63n; bit !== 0n; bit >>= 1n) {
		if (a & bit)
			product ^= b;
		b = b & 1n ? (b >> 1n) ^ POLY : b >> 1n;
	}
	return product;
}

const shifts = new Map();

/* Returns x^(8·length) modulo the polynomial. */
function shift(length) {
	let result = shifts.get(length);
	if (result === undefined) {
		let power = 1n << 55n; /* x^8 */
		result = 1n << 63n;
		for (let n = BigInt(length); n > 0n; n >>= 1n) {
			if (n & 1n)
				result = multiply(result, power);
			power = multiply(power, power);
		}
		if (shifts.size < 10000)
			shifts.set(length, result);
	}
	return result;
}

/* Returns the CRC of A‖B from crc(A), crc(B) and the length of B. */
function combine(a, b, length) {
	return multiply(a, shift(length)) ^ b;
}

module.exports = { Crc64, combine };

if (require.main === module) {
	const fs = require('fs');
	const buf = Buffer.alloc(1 << 20);
	for (const name of process.argv.slice(2)) {
		const fd = name === '-' ? 0 : fs.openSync(name, 'r');
		const crc = new Crc64();
		for (let n; (n = fs.readSync(fd, buf, 0, buf.length, null)) > 0;)
			crc.update(buf.subarray(0, n));
		if (fd !== 0)
			fs.closeSync(fd);
		console.log(crc.value().toString());
	}
}
