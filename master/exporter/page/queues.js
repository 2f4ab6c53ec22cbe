/* The tables of queues and stores. */

function makeRow(cells) {
	const row = make("tr");
	for (const [name, classes] of cells) {
		const cell = make("td", classes, null, make("span", "name"));
		cell.dataset.name = name;
		row.append(cell);
	}
	return row;
}

function fillRow(row, texts) {
	texts.forEach((text, i) => setText(row.children[i].firstChild, text));
}

const QUEUE_CELLS = [["", "wide"], ["waiting", "number"], ["running", "number"], ["limit", "number"], ["rate", "number"],
	["weight", "number"], ["oldest", "number"], ["why", "wide"]];

function fillQueue(row, q) {
	fillRow(row, [q.queue, countText(q.waiting), countText(q.running), q.max_transfers === null ? "none" : countText(q.max_transfers),
		q.rate === null ? "none" : rateText(q.rate), q.weight === null ? "1" : countText(q.weight),
		q.since === null ? "–" : ageText(known.fleet.now / 1000 - q.since), q.open ? q.waits_for ?? "" : "▲ the queue is paused"]);
}

const STORE_CELLS = [["", ""], ["", "wide"], ["reading", "number"], ["writing", "number"], ["limit", "number"],
	["carried", "number"], ["throttled", "number"], ["clock ahead", "number"],
	["requests", "number"], ["certificate ends in", "number"]];

/* Bytes a second that this node carries from or to a store, of the last 10 seconds. */
function storeRate(store) {
	const { ticks, node } = known;
	let bytes = 0;
	for (const tick of ticks)
		if (tick[0] > node.now - 10000)
			for (const [i, value] of tick[2])
				if (node.pairs[i].includes(store))
					bytes += value;
	return bytes / 10;
}

/* The sign, the words and the colour of a store's health. */
function healthOf(store, here) {
	const held = store.held ?? [];
	const first = held.find((h) => h.state === "held");
	if (first !== undefined)
		return ["bad", `■ held as ${first.held_as} on ${[...new Set(held.map((h) => h.node))].join(", ")} since ${timeText(first.since)}: ${first.reason}; ${plural(first.waiting, "task waits", "tasks wait")}`];
	if (held.length > 0)
		return ["warn", `▲ ${held[0].reason}`];
	if (here?.no_keys)
		return ["warn", "▲ has no keys yet"];
	if (here?.throttled)
		return ["warn", "▲ has asked to slow down"];
	return ["good", "✓ up"];
}

const CERTIFICATE_S = 14 * 86400;

function certificateText(ends) {
	const left = ends - known.node.now / 1000;
	return `${left < CERTIFICATE_S ? "▲ " : ""}${left > 0 ? ageText(left) : "it has ended"}`;
}

function fillStore(row, store) {
	const here = known.node?.stores.find((s) => s.store === store.store);
	const [style, words] = healthOf(store, here);
	const limit = store.rate === null ? "" : ` of ${rateText(store.rate)}`;
	fillRow(row, [store.store, words, countText(store.reading), countText(store.writing),
		store.max_transfers === null ? "none" : countText(store.max_transfers),
		here === undefined ? `–${limit}` : `${rateText(storeRate(store.store))}${limit}`,
		here === undefined ? "–" : plural(here.throttles, "time"), here?.clock_ahead === null || here === undefined ? "–" : `${here.clock_ahead} s`,
		countText(here?.requests), here?.certificate ? certificateText(here.certificate) : "–"]);
	setClass(row.children[1], `wide ${style}`);
}

function drawQueues() {
	const { fleet } = known;
	if (fleet === null)
		return;
	fillChildren($("queue-rows"), fleet.queues.rows ?? [], (q) => q.queue, () => makeRow(QUEUE_CELLS), fillQueue);
	fillChildren($("store-rows"), fleet.stores.rows ?? [], (s) => s.store, () => makeRow(STORE_CELLS), fillStore);
}
