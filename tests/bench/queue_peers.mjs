// The other queues of queue.py that run on Node: queue_peers.mjs graphile|graphile-batched|pg-boss fill|work CONNECTION COUNT
// "work" takes tasks, which do nothing, until it is killed.
import pg from "pg";

const [, , peer, action, connectionString, count] = process.argv;
const n = Number(count);

async function graphile() {
	const { run, makeWorkerUtils } = await import("graphile-worker");
	if (action === "fill") {
		const utils = await makeWorkerUtils({ connectionString });
		await utils.migrate();
		await utils.withPgClient((c) => c.query(
			"SELECT graphile_worker.add_job('nothing', json_build_object('n', n)) FROM generate_series(1, $1::int) n", [n]));
		await utils.release();
		return;
	}
	const batched = { localQueue: { size: 500, refetchDelay: { durationMs: 0 } }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
	const runner = await run({
		connectionString, taskList: { nothing: async () => {} }, noHandleSignals: true,
		preset: { worker: { concurrentJobs: 24, maxPoolSize: 25, pollInterval: 1000, ...(peer === "graphile-batched" ? batched : {}) } },
	});
	await runner.promise;
}

async function boss() {
	const { default: PgBoss } = await import("pg-boss");
	const b = new PgBoss({ connectionString });
	b.on("error", (e) => console.error(e));
	await b.start();
	await b.createQueue("q");
	if (action === "fill") {
		for (let i = 0; i < n; i += 1000)
			await b.insert(Array.from({ length: 1000 }, (_, k) => ({ name: "q", data: { n: i + k } })));
		await b.stop({ graceful: false });
		return;
	}
	for (;;) {
		const jobs = await b.fetch("q", { batchSize: 100 });
		if (jobs.length)
			await b.complete("q", jobs.map((j) => j.id));
		else
			await new Promise((r) => setTimeout(r, 50));
	}
}

await (peer === "pg-boss" ? boss() : graphile());
if (action === "fill")
	process.exit(0);
