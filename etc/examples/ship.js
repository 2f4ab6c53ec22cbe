'use strict';
/* Ships one object with pg: node ship.js SOURCE DESTINATION, such as ceph://uploads/a cos://archive-1250000000/a */
const { Client } = require('pg');

const CHANNEL = 'uploads';
const LOOK = 10000; /* milliseconds between looks at the row when no notification comes */

/* Inserts the application's row and the task, both or neither; returns the task's id. */
async function ask(client, source, destination) {
	await client.query('BEGIN');
	try {
		const { rows } = await client.query(
			'INSERT INTO ferry.task (source, destination, notify) VALUES ($1, $2, $3) RETURNING id',
			[source, destination, CHANNEL],
		);
		await client.query('INSERT INTO upload (key, task) VALUES ($1, $2)', [source, rows[0].id]);
		await client.query('COMMIT');
		return rows[0].id;
	} catch (error) {
		await client.query('ROLLBACK');
		throw error;
	}
}

/* Waits for the end of the task; returns its row. */
async function wait(client, task) {
	let heard = false;
	let wake = () => {};
	client.on('notification', () => {
		heard = true;
		wake();
	});
	await client.query(`LISTEN ${CHANNEL}`);
	for (;;) {
		heard = false;
		const { rows } = await client.query('SELECT state, bytes_done, verified_by, error FROM ferry.task WHERE id = $1', [task]);
		if (rows.length === 0) {
			throw new Error(`task ${task} is gone: somebody deleted it, or its retention was over`);
		}
		if (['done', 'failed', 'cancelled'].includes(rows[0].state)) {
			return rows[0];
		}
		if (!heard) {
			await new Promise((resolve) => {
				const timer = setTimeout(resolve, LOOK);
				wake = () => {
					clearTimeout(timer);
					resolve();
				};
			});
		}
	}
}

async function main(source, destination) {
	const client = new Client(); /* PGHOST, PGDATABASE, PGUSER, ... */
	await client.connect();
	try {
		const task = await ask(client, source, destination);
		const row = await wait(client, task);
		const isDone = row.state === 'done';
		console.log(`task ${task} ${row.state}: ${isDone ? `${row.bytes_done} bytes, verified by ${row.verified_by}` : row.error}`);
		process.exitCode = isDone ? 0 : 1;
	} finally {
		await client.end();
	}
}

main(...process.argv.slice(2)).catch((error) => {
	console.error(error.message);
	process.exitCode = 1;
});
