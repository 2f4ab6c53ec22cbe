/* Bytes and failed attempts of this node over time. */

const SERIES_MAX = 5;

/* The keys with the largest sums; the others are added up as "other". */
function largest(data) {
	const total = (values) => values.reduce((sum, value) => sum + value, 0);
	const keys = [...data.sums.keys()].sort((a, b) => total(data.sums.get(b)) - total(data.sums.get(a)));
	const rest = keys.splice(SERIES_MAX);
	if (rest.length > 0) {
		const other = new Array(data.count).fill(0);
		for (const key of rest)
			data.sums.get(key).forEach((value, i) => (other[i] += value));
		data.sums.set("other", other);
		keys.push("other");
	}
	return { keys, total };
}

function tallest(data, keys) {
	let most = 0;
	for (let i = 0; i < data.count; i++)
		most = Math.max(most, keys.reduce((sum, key) => sum + data.sums.get(key)[i], 0));
	return most;
}

function drawBytes() {
	const { pairs } = known.node;
	const seconds = span() > 300000 ? 10 : 5;
	const data = columns(seconds, (tick) => tick[2].map(([i, value]) => [pairs[i].join(" → "), value]));
	const { keys } = largest(data);
	const top = roundUp(tallest(data, keys) / seconds, true);
	const plot = axes($("bytes-plot"), top, rateText(top), { left: 80 });
	if (plot !== null)
		drawStack(plot, data, keys, seconds, false);
	const now = (key) => data.sums.get(key).slice(-3, -1).reduce((sum, value) => sum + value, 0) / 2 / seconds;
	setLegend($("bytes-legend"), keys.map((key, series) => ({ name: key, series, value: `${rateText(now(key))} now` })));
	$("bytes-plot").setAttribute("aria-label", `Bytes a second by pairs of stores; the axis ends at ${rateText(top)}.`);
}

function drawFailed() {
	const { failures } = known.node;
	const data = columns(span() > 300000 ? 30 : 10, (tick) => tick[3].map(([i, value]) => [failures[i][0], value]));
	const { keys, total } = largest(data);
	const top = roundUp(tallest(data, keys), false);
	const plot = axes($("failed-plot"), top, countText(top), { left: 32 });
	if (plot !== null)
		drawStack(plot, data, keys, 1, true);
	const entries = keys.map((key, series) => ({ name: key, series, value: countText(total(data.sums.get(key))) }));
	setLegend($("failed-legend"), entries.length > 0 ? entries : [{ name: "none" }]);
	$("failed-plot").setAttribute("aria-label", `Failed attempts: ${entries.map((e) => `${e.name} ${e.value}`).join(", ") || "none"}.`);
}

function drawThroughput() {
	if (known.node === null)
		return;
	drawBytes();
	drawFailed();
}
