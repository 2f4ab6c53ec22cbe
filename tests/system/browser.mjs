/*
 * A Chromium that is driven by lines of JSON on stdin, each answered by one line: [verb, argument ...] gives {"value": ...} or
 * {"error": "..."}.  See browser.py.
 */
import { createInterface } from "node:readline";

import { chromium } from "playwright-core";

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
let context, page, session;
const problems = []; /* errors of scripts, refusals of the policy, requests to others */

async function open(url, { width, height, scheme }) {
	await context?.close();
	context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
	page = await context.newPage();
	session = await context.newCDPSession(page);
	page.on("pageerror", (error) => problems.push(String(error)));
	page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
	page.on("dialog", (dialog) => {
		problems.push(`a dialog: ${dialog.message()}`);
		dialog.dismiss();
	});
	page.on("request", (request) => request.url().startsWith(new URL(url).origin) || request.url().startsWith("data:") || problems.push(`a request: ${request.url()}`));
	const answer = await page.goto(url);
	return { status: answer.status(), headers: answer.headers() };
}

/* As the console does it: the policy of the page does not count. */
async function evaluate(expression) {
	const { result, exceptionDetails } = await session.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true, allowUnsafeEvalBlockedByCSP: true });
	if (exceptionDetails !== undefined)
		throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
	return result.value ?? null;
}

const verbs = {
	open,
	evaluate,
	size: (width, height) => page.setViewportSize({ width, height }),
	scheme: (colorScheme) => page.emulateMedia({ colorScheme }),
	press: (key) => page.keyboard.press(key),
	type: (text) => page.keyboard.type(text),
	click: (selector) => page.click(selector, { timeout: 10000 }),
	screenshot: (path, fullPage) => page.screenshot({ path, fullPage }).then(() => null),
	leave: () => page?.goto("about:blank").then(() => null),
	problems: () => problems.splice(0),
};

for await (const line of createInterface({ input: process.stdin })) {
	const [verb, ...rest] = JSON.parse(line);
	let answer;
	try {
		answer = { value: (await verbs[verb](...rest)) ?? null };
	} catch (error) {
		answer = { error: String(error) };
	}
	process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
