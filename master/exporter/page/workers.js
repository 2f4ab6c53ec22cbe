/* One card for each worker: its task, the task's parts, its memory under its cap. */

const SLIM_AFTER_MS = 15000; /* an idle worker had no task for so long */
const RATE_MS = 10000;

/* By the keys of workers: when the worker had a task last, and how far that was. */
const seen = new Map();

/* The workers of all nodes; those of this node as it has just told, with their memory. */
function listWorkers() {
	const { node, fleet } = known;
	const all = new Map();
	const here = node?.node;
	for (const w of fleet?.workers.rows ?? [])
		all.set(`${w.node}/${w.slot}`, { ...w, key: `${w.node}/${w.slot}`, here: w.node === here });
	if (!node?.heard)
		return [...all.values()];
	const name = (fleet?.nodes.rows ?? []).find((n) => n.id === here)?.name ?? "this node";
	for (const [key, w] of all)
		if (w.here && !node.workers.some((one) => one.number === w.slot))
			all.delete(key);
	for (const w of node.workers) {
		const key = `${here}/${w.number}`;
		const row = all.get(key);
		const same = row !== undefined && row.task === w.task;
		all.set(key, { ...(same ? row : { node: here, node_name: name, slot: w.number }), ...w, key, here: true, lapsed: false });
	}
	return [...all.values()].sort((a, b) => a.node_name.localeCompare(b.node_name) || a.slot - b.slot);
}

/* Bytes a second of a task, and how long the rest takes; notes how far the task is. */
function progressOf(w) {
	let one = seen.get(w.key);
	const now = Date.now();
	if (one === undefined || one.task !== w.task || (w.done ?? 0) < one.samples[one.samples.length - 1]?.done)
		one = { task: w.task, busyAt: one?.busyAt ?? 0, samples: [] };
	if (w.task !== null && w.task !== undefined) {
		one.busyAt = now;
		if (one.samples.length === 0 || now - one.samples[one.samples.length - 1].at > 500)
			one.samples.push({ at: now, done: w.done ?? 0 });
		while (one.samples.length > 2 && now - one.samples[0].at > RATE_MS)
			one.samples.shift();
	}
	seen.set(w.key, one);
	const first = one.samples[0];
	const last = one.samples[one.samples.length - 1];
	const rate = one.samples.length > 1 ? (last.done - first.done) * 1000 / (last.at - first.at) : null;
	return { rate, left: rate > 0 && w.total > 0 ? (w.total - w.done) / rate : null, busyAt: one.busyAt };
}

function deathsOf(number) {
	return known.node.deaths.filter((death) => death.worker === number);
}

/* Values of a worker's memory over time: [time, bytes]; bytes 0: no process. */
function memoryOf(number) {
	const at = number - 1;
	return known.ticks.map((tick) => [tick[0], tick[1].find(([i]) => i === at)?.[1] ?? 0]);
}

const MARKS = {
	out_of_memory: { sign: "✕", style: "bad" },
	machine_out_of_memory: { sign: "✕", style: "warn" },
	signal: { sign: "◆", style: "warn" },
	exit: { sign: "◆", style: "warn" },
	hung: { sign: "◆", style: "warn" },
};

function drawMemory(canvas, w) {
	const cap = w.cap > 0 ? w.cap : roundUp(w.peak, true);
	const plot = axes(canvas, cap, sizeText(cap), { left: 64 });
	if (plot === null)
		return;
	const { c } = plot;
	const points = memoryOf(w.number).filter(([time]) => time >= plot.from);
	let run = [];
	let peak = null;
	c.strokeStyle = colours.accent;
	for (const [time, bytes] of [...points, [0, 0]]) {
		if (bytes > 0)
			run.push([plot.x(time), plot.y(bytes)]);
		else if (run.length > 0) {
			line(c, run.length > 1 ? run : [run[0], [run[0][0] + 1.5, run[0][1]]]);
			run = [];
		}
		if (bytes > (peak?.[1] ?? 0))
			peak = [time, bytes];
	}
	c.strokeStyle = colours.bad;
	c.setLineDash([4, 3]);
	line(c, [[plot.left, plot.y(cap)], [plot.right, plot.y(cap)]]);
	c.setLineDash([]);
	if (peak !== null) {
		c.fillStyle = colours.text;
		c.beginPath();
		c.arc(plot.x(peak[0]), plot.y(peak[1]), 2.5, 0, 7);
		c.fill();
	}
	c.textAlign = "center";
	c.textBaseline = "middle";
	c.font = "bold 12px system-ui, sans-serif";
	for (const death of deathsOf(w.number).filter((d) => d.at >= plot.from)) {
		const mark = MARKS[death.cause];
		c.fillStyle = colours[mark.style];
		c.fillText(mark.sign, Math.min(plot.x(death.at), plot.right - 4), plot.bottom);
	}
}

function makeCard() {
	const card = make("article", "card");
	card.append(
		make("div", "top", null, makeUri("where"), make("span", "state"), make("button", "link task")),
		make("div", "whole", null, makeUri("source"), makeUri("destination"), make("canvas", "map"),
			make("div", "line", null, make("span", "done"), make("span", "part-count quiet")), make("div", "line", null, make("span", "rate"), make("span", "left"))),
		make("div", "memory-part whole", null, make("canvas", "memory"),
			make("div", "line quiet", null, make("span", "figures")), make("div", "line", null, make("span", "deaths"))));
	card.querySelector(".task").type = "button";
	card.querySelector(".task").addEventListener("click", () => openStory(card.dataset.task));
	card.querySelector(".memory").setAttribute("role", "img");
	card.querySelector(".map").setAttribute("role", "img");
	return card;
}

function fillTask(card, w, { rate, left }) {
	const part = (name) => card.querySelector(`.${name}`);
	setUri(part("source"), w.source ?? "", "from");
	setUri(part("destination"), w.destination ?? "", "to");
	const known_size = w.total > 0;
	setText(part("done"), known_size ? `${sizeText(w.done)} of ${sizeText(w.total)}, ${percentText(w.done, w.total)}` : sizeText(w.done));
	const finished = (w.parts ?? []).reduce((sum, [first, last]) => sum + last - first + 1, 0);
	setText(part("part-count"), w.part_size > 0 && known_size ? `${countText(finished)} parts of ${countText(Math.ceil(w.total / w.part_size))}` : "");
	setText(part("rate"), rateText(rate));
	setText(part("left"), left === null ? "" : `${ageText(left)} left`);
	drawParts(part("map"), { done: w.done, total: w.total, partSize: w.part_size, parts: w.parts });
	part("map").setAttribute("aria-label", `parts of task ${w.task}: ${percentText(w.done, w.total)} done`);
}

function fillMemory(card, w) {
	const part = (name) => card.querySelector(`.${name}`);
	part("memory-part").hidden = !w.here;
	if (!w.here || known.node === null)
		return;
	drawMemory(part("memory"), w);
	const deaths = deathsOf(w.number);
	const ooms = deaths.filter((d) => d.cause.endsWith("out_of_memory")).length;
	const words = [];
	if (ooms > 0)
		words.push(`✕ ${plural(ooms, "time", "times")} out of memory`);
	if (deaths.length > ooms)
		words.push(`◆ ${plural(deaths.length - ooms, "other death")}`);
	setText(part("figures"), `${sizeText(w.memory)} now, peak ${sizeText(w.peak)}, cap ${sizeText(w.cap)}`);
	setText(part("deaths"), words.join(", "));
	setClass(part("deaths"), `deaths ${ooms > 0 ? "bad" : "warn"}`);
	part("memory").setAttribute("aria-label", `memory of 15 minutes, now ${sizeText(w.memory)} of ${sizeText(w.cap)}; ${words.join(", ") || "no deaths"}`);
}

function fillCard(card, w) {
	const progress = progressOf(w);
	const hasTask = w.task !== null && w.task !== undefined;
	const restless = w.here && deathsOf(w.slot).length > 0;
	const slim = !hasTask && !restless && Date.now() - progress.busyAt > SLIM_AFTER_MS;
	card.dataset.task = hasTask ? w.task : "";
	setClass(card, `card${slim ? " slim" : ""}${w.lapsed ? " old" : ""}`);
	setParts(card.querySelector(".where"), w.node_name, ` · ${w.slot}`);
	setState(card.querySelector(".state"), hasTask ? "busy" : w.state, w.lapsed ? "its node is gone" : null);
	setText(card.querySelector(".task"), hasTask ? `task ${w.task}` : "");
	if (slim)
		return;
	fillTask(card, w, progress);
	fillMemory(card, w);
}

function drawWorkers() {
	if (known.node === null && known.fleet === null)
		return;
	fillChildren($("cards"), listWorkers(), (w) => w.key, makeCard, fillCard);
}
