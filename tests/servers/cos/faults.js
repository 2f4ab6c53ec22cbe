'use strict';
/*
 * Faults on order, and the record of what happened.  A rule is {match, action, times}:
 *
 * match   op, bucket, key, part (all optional; key as it is or /regular expression/), nth (only the n-th request that matches,
 *	   counted from 1), after (only from the n-th on)
 * action  delay: ms before the request is looked at            close: "before" any of the body is read | "mid", after bytes of it
 *	   status + code + message: that error                         (or of the answer's body) | "after" the work was done
 *	   hold: true, until POST /release, or "work": until then what it says 200 to is not done
 *	   body: text, with 200, and nothing done
 *	   completeError: code, in a 200 on Complete or copy           corrupt: true, one stored byte is flipped
 *	   crc: "wrong" | "none"                                etag: "lie" (the answer's is not the stored one) | "none"
 *	   flood: bytes of response headers                     slow: bytes a second for this request
 * times   how often the rule takes effect (default: always)
 */
class Faults {
	constructor() {
		this.clear();
	}

	clear() {
		this.rules = [];
		this.release();
	}

	set(rules) {
		this.clear();
		this.rules = rules.map((rule) => ({ match: {}, times: Infinity, ...rule, seen: 0, used: 0 }));
	}

	static matches(match, req) {
		for (const name of ['op', 'bucket', 'part'])
			if (match[name] !== undefined && match[name] !== req[name])
				return false;
		if (match.key === undefined)
			return true;
		const m = /^\/(.*)\/$/.exec(match.key);
		return m ? new RegExp(m[1]).test(req.key) : match.key === req.key;
	}

	/* The actions of every rule that applies to this request, merged; {} for none. */
	take(req) {
		let action = {};
		for (const rule of this.rules) {
			if (rule.used >= rule.times || !Faults.matches(rule.match, req))
				continue;
			rule.seen++;
			if ((rule.match.nth && rule.seen !== rule.match.nth) || (rule.match.after && rule.seen < rule.match.after))
				continue;
			rule.used++;
			action = { ...action, ...rule.action };
		}
		return action;
	}

	held() {
		return new Promise((resolve) => (this.waiting = (this.waiting || []).concat(resolve)));
	}

	release() {
		for (const resolve of this.waiting || [])
			resolve();
		this.waiting = [];
	}
}

const LOG_MAX = 50000;

class Record {
	constructor() {
		this.reset();
	}

	reset() {
		this.log = [];
		this.received = {};
	}

	add(entry) {
		this.log.push(entry);
		if (this.log.length > LOG_MAX)
			this.log.splice(0, LOG_MAX / 10);
	}

	/* Bytes of request bodies, whether the request came to an end or not: what was sent twice shows here. */
	count(req, bytes) {
		const key = `${req.bucket}/${req.key}`, part = req.part || 0;
		const parts = (this.received[key] = this.received[key] || {});
		parts[part] = (parts[part] || 0) + bytes;
	}
}

/* A limit that all bodies share, so that a transfer lasts as long as a test needs.  0: none. */
class Rate {
	constructor(bytes) {
		this.set(bytes);
	}

	set(bytes) {
		this.bytes = bytes;
		this.free = 0;
	}

	/* Milliseconds to wait after so many bytes. */
	wait(bytes) {
		const now = Date.now();
		if (!this.bytes)
			return 0;
		this.free = Math.max(this.free, now) + (bytes * 1000) / this.bytes;
		return this.free - now;
	}
}

module.exports = { Faults, Record, Rate };
