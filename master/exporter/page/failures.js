/* Failures of 24 hours, grouped by their message without what differs from task to task. */

function makeFailure() {
	return make("article", "failure", null, make("div", "count"),
		make("div", "", null, make("div", "message name"), make("div", "facts quiet"), make("div", "ids")));
}

function fillFailure(item, f) {
	setText(item.querySelector(".count"), countText(f.failed + f.trying));
	setText(item.querySelector(".message"), f.alike ?? "no message");
	const facts = [f.class ?? "no class", f.failed > 0 ? `${plural(f.failed, "task")} failed` : "", f.trying > 0 ? plural(f.trying, "task waits or runs after it", "tasks wait or run after it") : "",
		f.last === null ? "" : `last ${timeText(f.last)}`, f.example === f.alike ? "" : `for example: ${f.example}`];
	setText(item.querySelector(".facts"), facts.filter(Boolean).join(" · "));
	fillChildren(item.querySelector(".ids"), f.tasks, (id) => id, (id) => {
		const button = make("button", "link", `task ${id}`);
		button.type = "button";
		button.addEventListener("click", () => openStory(id));
		return button;
	}, () => {});
}

function drawFailures() {
	const rows = known.fleet?.failures.rows;
	if (!rows)
		return;
	const none = rows.length === 0 ? [{ none: true }] : rows;
	fillChildren($("failure-rows"), none, (f) => (f.none ? "none" : `${f.class}\n${f.alike}`), (f) => (f.none ? make("p", "quiet", "None.") : makeFailure()),
		(item, f) => f.none || fillFailure(item, f));
}
