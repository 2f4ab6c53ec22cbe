/* Sizes, times and names for people. */

/* Characters that are not seen, or that turn the direction of what follows, are spelled out. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb]/g;

function clean(text) {
	return String(text).replace(UNSEEN, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

function sizeText(bytes) {
	if (bytes === null || bytes === undefined || bytes < 0)
		return "–";
	let unit = 0;
	let value = Number(bytes);
	while (value >= 1023.95 && unit < UNITS.length - 1) {
		value /= 1024;
		unit++;
	}
	return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

function rateText(bytes) {
	return bytes === null || bytes === undefined ? "–" : `${sizeText(Math.max(bytes, 0))}/s`;
}

function countText(n) {
	return n === null || n === undefined ? "–" : Number(n).toLocaleString("en");
}

/* A span of time in its two largest units. */
function ageText(seconds) {
	if (seconds === null || seconds === undefined || Number.isNaN(seconds))
		return "–";
	const s = Math.max(Math.round(seconds), 0);
	if (s < 60)
		return `${s} s`;
	if (s < 3600)
		return s < 600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 60)} min`;
	if (s < 86400)
		return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
	return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

/* Seconds since 1970 as a time of the reader's clock; with the day if that is not today. */
function timeText(seconds) {
	if (seconds === null || seconds === undefined)
		return "–";
	const date = new Date(seconds * 1000);
	const time = date.toLocaleTimeString("en-GB");
	return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString("en-CA")} ${time}`;
}

function percentText(done, total) {
	return total > 0 ? `${Math.min(Math.floor(100 * done / total), 100)} %` : "";
}

function plural(n, one, many = `${one}s`) {
	return `${countText(n)} ${n === 1 ? one : many}`;
}

/*
 * The two parts that show a name.  The style shortens the first part, so that names are cut in the middle and fit whatever the
 * width.
 */
function makeUri(classes) {
	return make("span", `uri name ${classes}`, null, make("span", "head"), make("span", "tail"));
}

function setUri(node, uri, before = "") {
	const text = clean(uri ?? "");
	const cut = text.length > 24 ? text.length - 14 : text.length;
	setParts(node, text.slice(0, cut), text.slice(cut));
	if (before)
		node.dataset.before = before;
}

function setParts(node, head, tail) {
	setText(node.firstChild, head);
	setText(node.lastChild, tail);
	if (node.title !== node.textContent)
		node.title = node.textContent;
}

/* Each state has a sign and a word besides its colour. */
const STATES = {
	queued: { sign: "○", style: "quiet", word: "waits" },
	running: { sign: "▶", style: "run", word: "runs" },
	done: { sign: "✓", style: "good", word: "done" },
	failed: { sign: "✕", style: "bad", word: "failed" },
	cancelled: { sign: "⊘", style: "warn", word: "cancelled" },
	idle: { sign: "○", style: "quiet", word: "idle" },
	busy: { sign: "▶", style: "run", word: "busy" },
	starting: { sign: "◌", style: "warn", word: "starts" },
	backoff: { sign: "◌", style: "bad", word: "waits to start again" },
	reaping: { sign: "▶", style: "run", word: "removes uploads" },
	stopping: { sign: "◌", style: "warn", word: "stops" },
};

function setState(node, state, word = null) {
	const known = STATES[state] ?? { sign: "·", style: "quiet", word: state };
	setText(node, `${known.sign} ${word ?? known.word}`);
	setClass(node, `state ${known.style}`);
}
