/* Asking ferry-exporter, again and again while the page is seen, and telling what does not answer. */

let token = null; /* of metrics.token_file; null: none is needed, or none was given */
try {
	token = sessionStorage.getItem("token");
} catch {
	/* kept for this page only */
}

const link = {
	awaySince: null, /* ferry-exporter does not answer since then */
	refused: null, /* why it gives nothing */
};

/* Returns the document, or null if there was none. */
async function ask(path) {
	try {
		const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
		const answer = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(15000) });
		link.awaySince = null;
		if (answer.status === 401)
			askForToken();
		link.refused = answer.ok || answer.status === 401 || answer.status === 503 ? null : (await answer.text()).trim();
		return answer.ok ? await answer.json() : null;
	} catch {
		link.awaySince ??= Date.now();
		return null;
	}
}

function askForToken() {
	if ($("token").hidden) {
		$("token").hidden = false;
		$("token-text").focus();
	}
}

$("token").addEventListener("submit", (event) => {
	event.preventDefault();
	token = $("token-text").value.trim();
	$("token-text").value = "";
	$("token").hidden = true;
	try {
		sessionStorage.setItem("token", token);
	} catch {
		/* kept for this page only */
	}
	pollAll();
});

async function askNode() {
	const since = known.node?.serial ?? 0;
	const node = await ask(`/page/node?since=${since}`);
	if (node === null)
		return false;
	if (known.node !== null && known.node.started !== node.started) {
		known.node = null; /* another process answers, which counts anew */
		known.ticks = [];
		return askNode();
	}
	known.ticks = known.ticks.concat(node.ticks).filter((tick) => tick[0] > node.now - MINUTES_15);
	known.node = node;
	return true;
}

async function askFleet() {
	const fleet = await ask("/page/fleet");
	if (fleet === null)
		return false;
	known.fleet = fleet;
	return fleet.queues.rows !== null;
}

/* The version of the list that we have; 0: none. */
let listed = 0;

async function askTasks() {
	const answer = await ask(`/page/tasks?since=${listed}`);
	if (answer === null)
		return false;
	if (answer.whole)
		known.tasks = new Map();
	for (const id of answer.gone)
		known.tasks.delete(id);
	for (const row of answer.rows)
		known.tasks.set(row[0], row);
	listed = answer.version;
	const isFirst = known.listedAt === 0;
	known.listedAt = answer.at;
	if (isFirst || answer.whole || answer.gone.length > 0 || answer.rows.length > 0)
		tasksChanged();
	return answer.at !== 0;
}

/* Calls a question again and again while the page is seen: soon, as long as it has no answer and the link is there. */
function poll(question, every) {
	let timer = null;
	let under_way = false;
	async function run() {
		clearTimeout(timer);
		if (under_way || document.hidden)
			return;
		under_way = true;
		const answered = await question();
		under_way = false;
		draw();
		if (!document.hidden && $("token").hidden)
			timer = setTimeout(run, answered || link.awaySince !== null || link.refused !== null ? every : 250);
	}
	return run;
}

const polls = [poll(askNode, 1000), poll(askFleet, 2000), poll(askTasks, 2000)];

function pollAll() {
	for (const run of polls)
		run();
}

document.addEventListener("visibilitychange", pollAll);

/* Says what does not answer, and greys what is old for it. */
function drawLink() {
	const { node, fleet } = known;
	const at = (ms) => timeText(ms / 1000);
	let notice = "";
	if (link.refused !== null)
		notice = link.refused;
	else if (link.awaySince !== null)
		notice = `ferry-exporter has not answered since ${at(link.awaySince)}. What you see is older; the page asks on.`;
	else if (node !== null && !node.heard)
		notice = `ferryd on this node has not been heard since ${node.heard_at > 0 ? at(node.heard_at) : "this exporter started"}.`;
	else if (fleet !== null && !fleet.up)
		notice = `The database is away${fleet.away_since > 0 ? ` since ${at(fleet.away_since)}` : ""}. Queues, stores and tasks are as they were then.`;
	const why = fleet === null ? undefined : Object.values(fleet).find((sheet) => sheet?.why);
	if (notice === "" && why !== undefined)
		notice = `The database refuses a question of this page: ${why.why}`;
	$("notice").hidden = notice === "";
	setText($("notice"), notice);
	const away = link.awaySince !== null || link.refused !== null;
	for (const section of document.querySelectorAll(".of-node, #workers"))
		section.classList.toggle("old", away || !node?.heard);
	for (const section of document.querySelectorAll(".of-queue"))
		section.classList.toggle("old", away || (fleet !== null && !fleet.up));
	$("headline").classList.toggle("old", away);
}
