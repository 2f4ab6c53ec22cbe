/* The first look: how the fleet is, in words, and four numbers. */

const SIGNS = { good: "✓", warn: "▲", bad: "■" };

/* Bytes a second that this node's workers carried within the last 10 seconds. */
function rateNow() {
	const { ticks, node } = known;
	if (ticks.length < 2)
		return null;
	const recent = ticks.filter((tick) => tick[0] > node.now - 10500);
	const earlier = ticks[ticks.length - recent.length - 1] ?? recent[0];
	const ms = node.now - (earlier?.[0] ?? node.now);
	let bytes = 0;
	for (const tick of recent)
		for (const [, value] of tick[2])
			bytes += value;
	return ms > 500 ? bytes * 1000 / ms : null;
}

/* Sentences about what is wrong, the worst first. */
function troubles() {
	const found = [];
	const say = (style, text) => found.push({ style, text });
	const { node, fleet } = known;
	const nodes = fleet?.nodes.rows ?? [];
	if (fleet?.up && fleet.nodes.rows !== null && !nodes.some((n) => !n.lapsed))
		say("bad", "No node is alive: nothing is carried.");
	if (node?.heard && !node.database_up)
		say("bad", "ferryd on this node has no connection to the database.");
	for (const store of fleet?.stores.rows ?? [])
		for (const held of (store.held ?? []).filter((h) => h.state === "held"))
			say("bad", `Store ${store.store} is held as ${held.held_as} on ${held.node}: ${held.reason}; ${plural(held.waiting, "task waits", "tasks wait")}.`);
	for (const death of groupDeaths())
		say(death.cause === "signal" || death.cause === "exit" ? "warn" : "bad", death.text);
	for (const n of nodes.filter((one) => one.lapsed))
		say("warn", `The lease of node ${n.name} has lapsed: others take its tasks.`);
	for (const store of (node?.heard ? node.stores : []).filter((s) => s.no_keys))
		say("warn", `Store ${store.store} has no keys yet.`);
	for (const store of (node?.heard ? node.stores : []).filter((s) => s.throttled))
		say("warn", `Store ${store.store} has asked to slow down.`);
	for (const store of (node?.heard ? node.stores : []).filter((s) => s.certificate && s.certificate - node.now / 1000 < CERTIFICATE_S))
		say("warn", `The certificate of store ${store.store} ends ${timeText(store.certificate)}.`);
	for (const queue of (fleet?.queues.rows ?? []).filter((q) => !q.open && q.waiting > 0))
		say("warn", `Queue ${queue.queue} is paused: ${plural(queue.waiting, "task waits", "tasks wait")}.`);
	return found;
}

const CAUSES = {
	out_of_memory: "ran out of memory",
	machine_out_of_memory: "were killed since the machine is short of memory",
	signal: "were killed by a signal",
	exit: "ended by themselves",
	hung: "hung and were killed",
};

/* What workers of this node died of within 15 minutes, and with which tasks. */
function groupDeaths() {
	const groups = new Map();
	for (const death of known.node?.deaths ?? []) {
		const group = groups.get(death.cause) ?? { cause: death.cause, n: 0, tasks: new Set() };
		group.n++;
		if (death.task !== null)
			group.tasks.add(death.task);
		groups.set(death.cause, group);
	}
	return [...groups.values()].map((g) => {
		const tasks = [...g.tasks];
		const named = tasks.length === 0 ? "" : `: task${tasks.length > 1 ? "s" : ""} ${tasks.slice(-3).join(", ")}${tasks.length > 3 ? " and others" : ""}`;
		return { cause: g.cause, text: `${plural(g.n, "time", "times")} in 15 minutes workers of this node ${CAUSES[g.cause]}${named}.` };
	});
}

/* "3 nodes, 24 workers, 18 busy, all stores up" */
function fleetWords(isWell) {
	const { fleet } = known;
	if (fleet === null || fleet.nodes.rows === null || fleet.workers.rows === null)
		return known.node === null ? "No figures have come yet." : `${plural(known.node.workers.length, "worker")} on this node.`;
	const workers = fleet.workers.rows.filter((w) => !w.lapsed);
	const stores = fleet.stores.rows ?? [];
	const held = stores.filter((s) => (s.held ?? []).some((h) => h.state === "held")).length;
	const words = [plural(fleet.nodes.rows.filter((n) => !n.lapsed).length, "node"), plural(workers.length, "worker"),
		`${countText(workers.filter((w) => w.task !== null).length)} busy`];
	if (stores.length > 0)
		words.push(held === 0 ? "all stores up" : `${held} of ${plural(stores.length, "store")} held`);
	return `${words.join(", ")}${isWell ? "" : "; but:"}`;
}

function drawHeadline() {
	const { fleet } = known;
	const found = troubles();
	const worst = found.some((t) => t.style === "bad") ? "bad" : found.length > 0 ? "warn" : "good";
	const words = [{ style: worst, text: fleetWords(found.length === 0), key: "fleet" },
		...found.slice(0, 6).map((t, i) => ({ ...t, key: i }))];
	if (found.length > 6)
		words.push({ style: "warn", text: `and ${found.length - 6} more`, key: "more" });
	fillChildren($("words"), words, (w) => w.key, () => make("li", "name"), (item, w) => {
		setText(item, `${SIGNS[w.style]} ${w.text}`);
		setClass(item, `name ${w.style}`);
	});
	setText($("rate"), rateText(rateNow()));
	setText($("rate-name"), (fleet?.nodes.rows?.length ?? 1) > 1 ? "carried a second, on this node" : "carried a second");
	setText($("done"), countText(fleet?.ends.rows?.done));
	const queues = fleet?.queues.rows;
	setText($("waiting"), queues ? countText(queues.reduce((sum, q) => sum + q.waiting, 0)) : "–");
	const since = (queues ?? []).map((q) => q.since).filter((s) => s !== null);
	setText($("oldest"), !queues ? "–" : since.length > 0 ? ageText(fleet.now / 1000 - Math.min(...since)) : "none waits");
	const name = (fleet?.nodes.rows ?? []).find((n) => n.id === known.node?.node)?.name;
	setText($("where"), known.node === null ? "" : `${name ?? "this node"}, version ${known.node.version}`);
	document.title = worst === "good" ? "ferryd" : `${SIGNS[worst]} ferryd`;
}
