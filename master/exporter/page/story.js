/* The story of one task, in a dialog. */

let told = null; /* the id of the task; null: the dialog is closed */
let retold = null; /* the timer of the next question */

function openStory(id) {
	if (!id)
		return;
	told = id;
	$("story-body").replaceChildren(make("p", "quiet", "asking the database …"));
	setText($("story-title"), `Task ${id}`);
	if (!$("story").open)
		$("story").showModal();
	tellStory();
}

$("story").addEventListener("close", () => {
	told = null;
	clearTimeout(retold);
});
$("story-close").addEventListener("click", () => $("story").close());
$("story").addEventListener("click", (event) => {
	if (event.target === $("story"))
		$("story").close(); /* beside it */
});

async function tellStory() {
	const id = told;
	clearTimeout(retold);
	const answer = document.hidden ? null : await ask(`/page/task?id=${encodeURIComponent(id)}`);
	if (told !== id)
		return;
	retold = setTimeout(tellStory, answer !== null && answer.task.at === 0 ? 250 : 2000);
	if (answer !== null && answer.task.at !== 0)
		drawStory(id, answer.task.rows);
	else if (answer !== null && answer.task.why !== "")
		$("story-body").replaceChildren(make("p", "", `The database refuses the question: ${answer.task.why}`));
	else if (answer !== null && !answer.up)
		$("story-body").replaceChildren(make("p", "", "The database is away; the page asks on."));
}

/* What happened, in sentences, in the order in which it happened. */
function sentences(t) {
	const list = [`It was made ${timeText(t.created)}, for queue ${t.queue}.`];
	if (t.started === null)
		list.push("It was never claimed.");
	else
		list.push(`It was first claimed ${timeText(t.started)}, after ${ageText(t.started - t.created)}.`);
	if (t.attempt > 0)
		list.push(`${plural(t.attempt, "attempt")} of ${t.max_attempts} failed without any gain.`);
	if (t.crashes > 0)
		list.push(`${plural(t.crashes, "worker")} died with it.`);
	if (t.ooms > 0)
		list.push(`${plural(t.ooms, "worker")} ran out of memory with it.`);
	for (const death of (known.node?.deaths ?? []).filter((d) => d.task === t.id))
		list.push(`${timeText(death.at / 1000)}: worker ${death.worker} of this node ${DEATHS[death.cause]}${death.peak > 0 ? `, at ${sizeText(death.peak)} of its cap of ${sizeText(death.cap)}` : ""}.`);
	if (t.gained > 0)
		list.push(`Attempts before have left ${sizeText(t.gained)} in finished parts, with which later ones went on.`);
	if (t.error !== null)
		list.push(`The last failure (${t.error_class}): ${t.error}`);
	if (t.state === "running")
		list.push(`It runs on node ${t.node}${t.worker === null ? ", claimed ahead" : `, worker ${t.worker}`}.`);
	else if (t.state === "queued")
		list.push(`It waits for ${t.waiting_for ?? "a claim"}.`);
	else
		list.push(`It ended as ${t.state} ${timeText(t.finished)}${t.started === null ? "" : `, ${ageText(t.finished - t.started)} after its first claim`}.`);
	return list;
}

const DEATHS = {
	out_of_memory: "ran out of memory",
	machine_out_of_memory: "was killed since the machine is short of memory",
	signal: "was killed by a signal",
	exit: "ended by itself",
	hung: "hung and was killed",
};

function proofOf(t) {
	if (t.verified_by === null)
		return "none yet";
	return [`verified by ${t.verified_by}`, t.crc64 === null ? "" : `CRC-64 ${t.crc64}`, t.etag === null ? "" : `ETag ${t.etag}`].filter(Boolean).join(", ");
}

function factsOf(t) {
	return [["source", t.source], ["destination", t.destination],
		["carried", t.total === null ? sizeText(t.done) : `${sizeText(t.done)} of ${sizeText(t.total)} ${percentText(t.done, t.total)}`],
		["proof", proofOf(t)], ["priority", t.priority], ["not before", timeText(t.run_at)],
		["if it exists", t.if_exists], ["storage class", t.storage_class], ["peak of memory", t.peak_memory === null ? null : sizeText(t.peak_memory)],
		["was not carried", t.warning]].filter(([, value]) => value !== null);
}

function uploadNode(t, upload) {
	const parts = (upload.parts ?? []).reduce((sum, [first, last]) => sum + last - first + 1, 0);
	const node = make("div", "upload", null, make("p", "", `An upload (${upload.kind}) since ${timeText(upload.created)}: ${plural(parts, "part")} of ${sizeText(upload.part_size)} ${parts === 1 ? "is" : "are"} finished.`));
	if (upload.size > 0) {
		const canvas = make("canvas", "map");
		node.append(canvas);
		queueMicrotask(() => drawParts(canvas, { done: upload.kind === "open" ? t.done : 0, total: upload.size, partSize: upload.part_size, parts: upload.parts ?? [] }));
	}
	return node;
}

function drawStory(id, t) {
	if (t === null) {
		$("story-body").replaceChildren(make("p", "", `There is no task ${id}, or it is not kept any more.`));
		return;
	}
	const state = make("span");
	setState(state, t.state);
	setText($("story-title"), `Task ${t.id}`);
	$("story-title").append(" ", state);
	const list = make("dl");
	for (const [name, value] of factsOf(t))
		list.append(make("dt", "", name), make("dd", "name", value));
	$("story-body").replaceChildren(make("ol", "sentences", null, ...sentences(t).map((text) => make("li", "name", text))), list,
		...t.uploads.map((upload) => uploadNode(t, upload)));
}
