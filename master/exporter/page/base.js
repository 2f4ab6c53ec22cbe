/* The document: elements by their ids, new ones, and text that is set as text.  Nothing here or below makes HTML of text. */

const $ = (id) => document.getElementById(id);

/* A new element with classes, text and children. */
function make(tag, classes = "", text = null, ...children) {
	const node = document.createElement(tag);
	if (classes)
		node.className = classes;
	if (text !== null)
		node.textContent = clean(text);
	node.append(...children);
	return node;
}

/* Writes only what differs, so that nothing is laid out again without need. */
function setText(node, text) {
	const cleaned = clean(text);
	if (node.textContent !== cleaned)
		node.textContent = cleaned;
}

function setClass(node, classes) {
	if (node.className !== classes)
		node.className = classes;
}

/*
 * Gives every key of a list one child of the parent, in the order of the list, and keeps children that are there.
 * create(item) makes a child; fill(child, item) writes into it.
 */
function fillChildren(parent, items, keyOf, create, fill) {
	const there = new Map([...parent.children].map((child) => [child.dataset.key, child]));
	let place = parent.firstElementChild;
	for (const item of items) {
		const key = String(keyOf(item));
		let child = there.get(key);
		if (child === undefined) {
			child = create(item);
			child.dataset.key = key;
		}
		there.delete(key);
		if (child === place)
			place = place.nextElementSibling;
		else
			parent.insertBefore(child, place);
		fill(child, item);
	}
	for (const child of there.values())
		child.remove();
}

/* What the page knows; link.js fills it in. */
const known = {
	node: null, /* the last answer about this node */
	ticks: [], /* of 15 minutes: [time, memory, bytes, failures] */
	fleet: null, /* the last answer about the whole queue */
	tasks: new Map(), /* of the list: id -> row */
	listedAt: 0, /* when the database gave the list; 0: it has not */
};

const MINUTES_15 = 15 * 60 * 1000;
