/* Draws everything after each answer; chooses between light and dark. */

let asked = false; /* a drawing is under way */

function draw() {
	if (asked)
		return;
	asked = true;
	requestAnimationFrame(() => {
		asked = false;
		if (known.node !== null || known.fleet !== null)
			document.querySelector("main").hidden = false;
		drawLink();
		drawHeadline();
		drawThroughput();
		drawWorkers();
		drawQueues();
		drawRows();
		drawFailures();
	});
}

const THEMES = { system: "as the system", light: "light", dark: "dark" };
let theme = "system";
try {
	theme = localStorage.getItem("theme") ?? "system";
} catch {
	/* chosen for this page only */
}

function setTheme(name) {
	theme = name in THEMES ? name : "system";
	if (theme === "system")
		delete document.documentElement.dataset.theme;
	else
		document.documentElement.dataset.theme = theme;
	setText($("theme"), `colours: ${THEMES[theme]}`);
	readColours();
	draw();
}

$("theme").addEventListener("click", () => {
	const names = Object.keys(THEMES);
	setTheme(names[(names.indexOf(theme) + 1) % names.length]);
	try {
		localStorage.setItem("theme", theme);
	} catch {
		/* chosen for this page only */
	}
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(theme));
addEventListener("resize", draw);

setTheme(theme);
tasksChanged();
pollAll();
