'use strict';
/*
 * The two 32-bit checksums of S3, eight bytes at a time: CRC-32C (check value of "123456789": e3069283), and CRC-32 (cbf43926),
 * which the vendor's client prefers.  The code shares nothing with the code that it judges.
 */
class Crc {
	constructor(polynomial) {
		const t = this.tables = Array.from({ length: 8 }, () => new Int32Array(256));
		for (let n = 0; n < 256; n++) {
			let crc = n;
			for (let bit = 0; bit < 8; bit++)
				crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
			t[0][n] = crc;
		}
		for (let n = 0; n < 256; n++)
			for (let k = 1; k < 8; k++)
				t[k][n] = (t[k - 1][n] >>> 8) ^ t[0][t[k - 1][n] & 0xff];
	}

	/* Returns the four bytes in base64. */
	of(buffers) {
		const [a, b, c, d, e, f, g, h] = this.tables;
		let crc = -1;
		for (const buf of buffers) {
			let i = 0;
			for (; i + 8 <= buf.length; i += 8) {
				const low = crc ^ (buf[i] | buf[i + 1] << 8 | buf[i + 2] << 16 | buf[i + 3] << 24);
				crc = h[low & 0xff] ^ g[(low >>> 8) & 0xff] ^ f[(low >>> 16) & 0xff] ^ e[low >>> 24] ^
					d[buf[i + 4]] ^ c[buf[i + 5]] ^ b[buf[i + 6]] ^ a[buf[i + 7]];
			}
			for (; i < buf.length; i++)
				crc = (crc >>> 8) ^ a[(crc ^ buf[i]) & 0xff];
		}
		const out = Buffer.alloc(4);
		out.writeInt32BE(~crc);
		return out.toString('base64');
	}
}

module.exports = { sums: { CRC32C: new Crc(0x82f63b78), CRC32: new Crc(0xedb88320) } };
