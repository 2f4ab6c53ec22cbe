/* The list of tasks.  Of its many rows, only those that are seen are in the document. */

/* The places of a row. */
const [ID, STATE, QUEUE, SOURCE, DESTINATION, DONE, TOTAL, FAILURES, CLASS, CREATED, STARTED, FINISHED, PRIORITY, RUN_AT] = Array(14).keys();
const ORDER = { running: 0, queued: 1, failed: 2, cancelled: 2, done: 2 };

let shown = []; /* the rows that pass the filters, in their order */
let chosen = null; /* the id of the row that the keys have reached */
let drawn = new Map(); /* index -> element */

/* Running ones first, then what waits in the order of claims, then what has ended, the last first. */
function compare(a, b) {
	return ORDER[a[STATE]] - ORDER[b[STATE]] ||
		(a[STATE] === "queued" ? b[PRIORITY] - a[PRIORITY] || a[RUN_AT] - b[RUN_AT] : (b[FINISHED] ?? 0) - (a[FINISHED] ?? 0)) ||
		a[ID].length - b[ID].length || (a[ID] < b[ID] ? -1 : 1);
}

function storeOf(uri) {
	return uri.slice(0, Math.max(uri.indexOf("://"), 0)).toLowerCase();
}

function passes(row, words, state, queue, store) {
	return (state === "" || row[STATE] === state) && (queue === "" || row[QUEUE] === queue) &&
		(store === "" || storeOf(row[SOURCE]) === store || storeOf(row[DESTINATION]) === store) &&
		words.every((word) => row[ID] === word || row[SOURCE].toLowerCase().includes(word) ||
			row[DESTINATION].toLowerCase().includes(word) || (row[CLASS] ?? "").includes(word));
}

function refilter() {
	const words = $("filter").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
	const [state, queue, store] = ["state", "queue", "store"].map((name) => $(`filter-${name}`).value);
	shown = [...known.tasks.values()].filter((row) => passes(row, words, state, queue, store)).sort(compare);
	const all = (known.fleet?.queues.rows ?? []).reduce((sum, q) => sum + q.waiting + q.running, 0);
	const listed = [...known.tasks.values()].filter((row) => ORDER[row[STATE]] < 2).length;
	setText($("count"), known.listedAt === 0 ? "asking the database …" : `${countText(shown.length)} of ${plural(known.tasks.size, "task")}${all > listed + 100 ? `; ${countText(all - listed)} more wait and are not listed` : ""}`);
	drawRows();
}

/* Gives a list of choices, keeping the one that is chosen. */
function setChoices(select, all, values) {
	const choices = ["", ...values];
	if (choices.length === select.options.length && choices.every((value, i) => select.options[i].value === value))
		return;
	const chosenValue = select.value;
	select.replaceChildren(...choices.map((value) => {
		const option = make("option", "", value === "" ? all : value);
		option.value = value;
		return option;
	}));
	select.value = choices.includes(chosenValue) ? chosenValue : "";
}

function tasksChanged() {
	const queues = new Set();
	const stores = new Set();
	for (const row of known.tasks.values()) {
		queues.add(row[QUEUE]);
		stores.add(storeOf(row[SOURCE]));
		stores.add(storeOf(row[DESTINATION]));
	}
	setChoices($("filter-state"), "every state", ["running", "queued", "done", "failed", "cancelled"]);
	setChoices($("filter-queue"), "every queue", [...queues].sort());
	setChoices($("filter-store"), "every store", [...stores].sort());
	refilter();
}

function rowHeight() {
	return parseFloat(getComputedStyle($("list")).getPropertyValue("--row"));
}

function makeTask() {
	const row = make("div", "row", null, make("span", "id"), make("span", "state"), make("span", "queue name"), makeUri("source"),
		makeUri("destination"), make("span", "progress number"), make("span", "age number quiet"));
	row.setAttribute("role", "option");
	return row;
}

function fillTaskRow(element, row) {
	const [id, state, queue, source, destination, progress, age] = element.children;
	element.id = `task-${row[ID]}`;
	element.dataset.id = row[ID];
	element.setAttribute("aria-selected", String(row[ID] === chosen));
	setText(id, row[ID]);
	setState(state, row[STATE]);
	setText(queue, row[QUEUE]);
	setUri(source, row[SOURCE]);
	setUri(destination, row[DESTINATION]);
	const size = row[TOTAL] === null ? "" : row[STATE] === "running" ? `${percentText(row[DONE], row[TOTAL])} of ${sizeText(row[TOTAL])}` : sizeText(row[TOTAL]);
	setText(progress, row[STATE] === "failed" ? row[CLASS] ?? "" : row[STATE] === "queued" && row[CLASS] !== null ? `after ${row[CLASS]}` : size);
	const since = { queued: row[CREATED], running: row[STARTED] }[row[STATE]] ?? row[FINISHED];
	setText(age, ageText((known.node?.now ?? Date.now()) / 1000 - since));
}

/* Puts the rows that are in sight, and a few around them, into the document. */
function drawRows() {
	const list = $("list");
	const height = rowHeight();
	const first = Math.max(Math.floor(list.scrollTop / height) - 4, 0);
	const last = Math.min(Math.ceil((list.scrollTop + list.clientHeight) / height) + 4, shown.length);
	$("space").style.height = `${shown.length * height}px`;
	const tall = Math.min(Math.max(shown.length, 3) * height, 416) + 2;
	if (tall > list.offsetHeight)
		list.style.height = `${tall}px`; /* it never shrinks, so that what is below stays */
	const kept = new Map();
	const free = [];
	for (const [index, element] of drawn)
		if (index >= first && index < last)
			kept.set(index, element);
		else
			free.push(element);
	for (let index = first; index < last; index++) {
		const element = kept.get(index) ?? free.pop() ?? $("space").appendChild(makeTask());
		element.style.top = `${index * height}px`;
		fillTaskRow(element, shown[index]);
		kept.set(index, element);
	}
	for (const element of free)
		element.remove();
	drawn = kept;
	list.setAttribute("aria-activedescendant", chosen === null ? "" : `task-${chosen}`);
}

function choose(index) {
	if (shown.length === 0)
		return;
	const at = Math.min(Math.max(index, 0), shown.length - 1);
	const height = rowHeight();
	const list = $("list");
	chosen = shown[at][ID];
	if (at * height < list.scrollTop)
		list.scrollTop = at * height;
	else if ((at + 1) * height > list.scrollTop + list.clientHeight)
		list.scrollTop = (at + 1) * height - list.clientHeight;
	drawRows();
}

function chosenIndex() {
	return shown.findIndex((row) => row[ID] === chosen);
}

$("list").addEventListener("scroll", () => requestAnimationFrame(drawRows));
$("list").addEventListener("click", (event) => {
	const row = event.target.closest(".row");
	if (row !== null) {
		chosen = row.dataset.id;
		drawRows();
		openStory(chosen);
	}
});
for (const name of ["filter", "filter-state", "filter-queue", "filter-store"])
	$(name).addEventListener("input", () => {
		$("list").scrollTop = 0;
		refilter();
	});

const MOVES = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

$("list").addEventListener("keydown", (event) => {
	if (event.key in MOVES) {
		event.preventDefault();
		choose(Math.max(chosenIndex(), MOVES[event.key] > 0 ? -1 : 0) + MOVES[event.key]);
	} else if (event.key === "Enter") {
		event.preventDefault(); /* else it presses the button of the dialog that opens */
		openStory(chosen);
	}
});
$("filter").addEventListener("keydown", (event) => {
	if (event.key === "Enter")
		event.preventDefault();
	if (event.key === "ArrowDown") {
		event.preventDefault();
		$("list").focus();
		choose(Math.max(chosenIndex(), 0));
	} else if (event.key === "Enter" && /^\s*-?\d+\s*$/.test($("filter").value)) {
		openStory($("filter").value.trim()); /* listed or not */
	} else if (event.key === "Enter" && shown.length > 0) {
		openStory(shown[0][ID]);
	} else if (event.key === "Escape") {
		$("filter").value = "";
		refilter();
		$("filter").blur();
	}
});
document.addEventListener("keydown", (event) => {
	if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && !$("story").open) {
		event.preventDefault();
		$("filter").focus();
	}
});
