/* Drawing on canvases: plots over time, and the map of a task's parts. */

/* The colours of the style, read again when light and dark change. */
let colours = {};

function readColours() {
	const style = getComputedStyle(document.documentElement);
	const names = ["card", "line", "faint", "text", "quiet", "accent", "flight", "track", "good", "warn", "bad"];
	for (const name of [...names, ...Array.from({ length: 6 }, (_, i) => `series-${i}`)])
		colours[name] = style.getPropertyValue(`--${name}`).trim();
}

/* The context of a canvas whose pixels are those of the screen, empty; null if it is not shown. */
function begin(canvas) {
	const { width, height } = canvas.getBoundingClientRect();
	if (width === 0 || height === 0)
		return null;
	const scale = window.devicePixelRatio || 1;
	const w = Math.round(width * scale);
	const h = Math.round(height * scale);
	if (canvas.width !== w || canvas.height !== h) {
		canvas.width = w;
		canvas.height = h;
	}
	const c = canvas.getContext("2d");
	c.setTransform(scale, 0, 0, scale, 0, 0);
	c.clearRect(0, 0, width, height);
	c.font = "11px system-ui, sans-serif";
	c.lineWidth = 1.5;
	return { c, width, height };
}

/* The least round number that is not less than value: 1, 2, 4, 8, ... 512 of a unit for bytes, else 1, 2, 5, 10, ... */
function roundUp(value, bytes) {
	if (value <= 0)
		return bytes ? 1024 : 1;
	if (bytes)
		return 2 ** Math.ceil(Math.log2(value) - 1e-9);
	const power = 10 ** Math.floor(Math.log10(value));
	return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value - 1e-9);
}

/* How much of the 15 minutes is shown: less while there is no more, so that the first minutes can be read. */
function span() {
	const had = known.ticks.length > 0 ? known.node.now - known.ticks[0][0] : 0;
	return [2, 5, 15].map((minutes) => minutes * 60000).find((ms) => had <= ms) ?? MINUTES_15;
}

/* The place of axes: zero below, top above, the time of the last answer at the right. */
function axes(canvas, top, topText, { left = 64, bottom = 16 } = {}) {
	const drawing = begin(canvas);
	if (drawing === null)
		return null;
	const { c, width, height } = drawing;
	const from = known.node.now - span();
	const right = width - 2;
	const plot = {
		c, left, right, bottom: height - bottom, top: 8, from, to: known.node.now,
		x: (time) => left + (time - from) / (known.node.now - from) * (right - left),
		y: (value) => height - bottom - Math.min(value / top, 1.05) * (height - bottom - 8),
	};
	c.fillStyle = colours.quiet;
	c.textAlign = "right";
	c.textBaseline = "middle";
	c.fillText(topText, left - 6, plot.y(top));
	c.fillText("0", left - 6, plot.bottom);
	c.textBaseline = "alphabetic";
	c.textAlign = "left";
	c.fillText(`${Math.round(span() / 60000)} min ago`, left, height - 3);
	c.textAlign = "right";
	c.fillText("now", right, height - 3);
	c.strokeStyle = colours.faint;
	c.lineWidth = 1;
	for (const share of [0.5, 1])
		line(c, [[left, plot.y(top * share)], [right, plot.y(top * share)]]);
	c.strokeStyle = colours.line;
	line(c, [[left, plot.bottom], [right, plot.bottom]]);
	c.lineWidth = 1.5;
	return plot;
}

function line(c, points) {
	c.beginPath();
	points.forEach(([x, y], i) => (i === 0 ? c.moveTo(x, y) : c.lineTo(x, y)));
	c.stroke();
}

/* Sums of the ticks in columns of some seconds: {key: [value of each column]}; valuesOf(tick) gives pairs of key and value. */
function columns(seconds, valuesOf) {
	const count = Math.round(span() / 1000 / seconds);
	const ms = seconds * 1000;
	const last = Math.floor(known.node.now / ms);
	const sums = new Map();
	for (const tick of known.ticks) {
		const at = count - 1 - (last - Math.floor(tick[0] / ms));
		if (at < 0 || at >= count)
			continue;
		for (const [key, value] of valuesOf(tick)) {
			if (!sums.has(key))
				sums.set(key, new Array(count).fill(0));
			sums.get(key)[at] += value;
		}
	}
	return { sums, count, start: (last - count + 1) * ms, ms };
}

/* One band on top of another, as areas or as bars. */
function drawStack(plot, { sums, count, start, ms }, keys, divisor, bars) {
	const base = new Array(count).fill(0);
	keys.forEach((key, series) => {
		const values = sums.get(key);
		plot.c.fillStyle = colours[`series-${Math.min(series, 5)}`];
		plot.c.beginPath();
		for (let i = 0; i < count; i++) {
			const low = base[i];
			base[i] += values[i] / divisor;
			const x = Math.max(plot.x(start + i * ms), plot.left);
			const next = Math.min(plot.x(start + (i + 1) * ms), plot.right);
			if (values[i] > 0 && next > x)
				plot.c.rect(x, plot.y(base[i]), next - x - (bars ? 1 : 0), plot.y(low) - plot.y(base[i]));
		}
		plot.c.fill();
	});
	return base;
}

function setLegend(list, entries) {
	fillChildren(list, entries, (entry) => entry.name, () => make("li", "", null, make("span", "name")), (item, entry) => {
		setClass(item, entry.series === undefined ? "none" : `series-${entry.series}`);
		setText(item.firstChild, entry.series === undefined ? entry.name : `${entry.name}: ${entry.value}`);
	});
}

/*
 * The parts of a task as one strip: done, in flight, to do.  It is known which parts are finished and how many bytes
 * are in flight, not of which parts; a worker begins the first parts that are left, so these are shown as in flight.
 */
function drawParts(canvas, { done, total, partSize, parts }) {
	const drawing = begin(canvas);
	if (drawing === null)
		return;
	const { c, width, height } = drawing;
	c.fillStyle = colours.track;
	c.fillRect(0, 0, width, height);
	if (!(total > 0))
		return;
	const x = (bytes) => bytes / total * width;
	if (!partSize || !parts) {
		c.fillStyle = colours.accent;
		c.fillRect(0, 0, x(done), height);
		return;
	}
	let flying = done;
	const gaps = [];
	let at = 0;
	for (const [first, last] of parts) {
		const from = (first - 1) * partSize;
		const to = Math.min(last * partSize, total);
		gaps.push([at, from]);
		at = to;
		flying -= to - from;
		c.fillStyle = colours.accent;
		c.fillRect(x(from), 0, Math.max(x(to) - x(from), 1), height);
	}
	gaps.push([at, total]);
	c.fillStyle = colours.flight;
	for (const [from, to] of gaps) {
		const part = Math.min(to - from, Math.max(flying, 0));
		if (part > 0)
			c.fillRect(x(from), height / 4, Math.max(x(part), 1), height / 2);
		flying -= part;
	}
}
