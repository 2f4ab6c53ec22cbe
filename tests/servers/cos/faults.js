'use strict';
/*
 * Faults that a test orders, and the record of requests.  A rule is {match, action, times}:
 *
 * match   op, bucket, key, part (all optional; key is a string or /regular expression/), nth (only the n-th request that
 *         matches, counted from 1), after (only from the n-th such request on), larger: n (bodies of more than n bytes),
 *         beyond: n (parts of a higher number)
 * action  delay: ms                  wait before the request is handled
 *         close: "before"            close the connection before the body is read
 *                "mid", bytes: n     close it after n bytes of the request's body, or of the answer's
 *                "after"             close it after the work is done, without an answer
 *         status, code, message      answer with that error
 *         proxy: server              with status: answer as a proxy of that name, at once and with a page of HTML
 *         late: true                 with proxy: only when the work is done, as a proxy does whose patience ends
 *         hold: true                 wait for POST /release before the request is handled
 *               "answer"            do the work, and wait for POST /release before the answer
 *               "work"               answer 200, but wait for POST /release before the work is done
 *         body: text                 answer 200 with this text, and do nothing
 *         page: text                 answer 200, or pageStatus, with this text as HTML, as a proxy does, and do nothing
 *         completeError: code        answer a Complete or a copy with this error in a 200
 *         corrupt: true              flip one bit of the stored bytes
 *         crc: "wrong" | "none"      state a wrong CRC64, or none
 *         etag: "lie" | "none"       state another ETag than the stored one, or none
 *         early: true                answer 200 with an ETag, close, and read no body
 *         perPage: n                 list that many parts in a page at most
 *         flood: bytes               send that many bytes of response headers
 *                line: true          in one line
 *         slow: bytes                take or send that many bytes a second for this request
 *         truncate: true             send half of the answer to a Complete or a copy
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
		if ((match.larger !== undefined && !(req.length > match.larger)) || (match.beyond !== undefined && !(req.part > match.beyond)))
			return false;
		if (match.key === undefined)
			return true;
		const m = /^\/(.*)\/$/.exec(match.key);
		return m ? new RegExp(m[1]).test(req.key) : match.key === req.key;
	}

	/* Returns the merged actions of all rules that apply to this request, or {}. */
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

	/* Counts bytes of request bodies, of broken requests too, so that bytes that were sent twice show. */
	count(req, bytes) {
		const key = `${req.bucket}/${req.key}`, part = req.part || 0;
		const parts = (this.received[key] = this.received[key] || {});
		parts[part] = (parts[part] || 0) + bytes;
	}
}

/* A rate that all bodies share, so that a transfer lasts as long as a test needs.  0 is no limit. */
class Rate {
	constructor(bytes) {
		this.set(bytes);
	}

	set(bytes) {
		this.bytes = bytes;
		this.free = 0;
	}

	/* Returns how many milliseconds to wait after these bytes. */
	wait(bytes) {
		const now = Date.now();
		if (!this.bytes)
			return 0;
		this.free = Math.max(this.free, now) + (bytes * 1000) / this.bytes;
		return this.free - now;
	}
}

module.exports = { Faults, Record, Rate };
