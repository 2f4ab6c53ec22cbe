/*
 * How many streams and workers fit into the configured memory.
 */
#include "common/config/config.h"

int64_t
config_memory_needed(int streams)
{
	return WORKER_BASE_MEMORY +
	       (int64_t)streams * (WORKER_RING_SIZE + WORKER_RECV_BUFFER + WORKER_SEND_BUFFER);
}

/* The memory for streams whose number is not configured: 7/8 of the cap, since TLS and the kernel
 * have buffers too. */
static int64_t
memory_at_leisure(const struct config_worker *worker)
{
	return worker->memory - worker->memory / 8;
}

int
config_streams_most(const struct config_worker *worker)
{
	int64_t memory = memory_at_leisure(worker);
	int most = 1;

	if (worker->streams > 0)
		return worker->streams;
	/* Large pipes come first: a few of them do as well as more small ones. */
	if (config_memory_needed(2 * WORKER_LARGE_PIPES) +
		WORKER_LARGE_PIPES * WORKER_LARGE_EXTRA <=
	    memory)
		memory -= WORKER_LARGE_PIPES * WORKER_LARGE_EXTRA;
	while (most < CONFIG_STREAMS_MAX && config_memory_needed(most + 1) <= memory)
		most++;
	return most;
}

int
config_large_pipes(const struct config_worker *worker)
{
	int64_t spare =
	    memory_at_leisure(worker) - config_memory_needed(config_streams_most(worker));
	int64_t n = spare / WORKER_LARGE_EXTRA;

	return n < 0 ? 0 : n < WORKER_LARGE_PIPES ? (int)n : WORKER_LARGE_PIPES;
}

int
config_workers_most(const struct config *conf)
{
	int64_t most;

	if (conf->memory_total == 0)
		return CONFIG_WORKERS_MAX;
	most = (conf->memory_total - MASTER_MEMORY) / conf->worker.memory;
	return most < CONFIG_WORKERS_MAX ? (int)most : CONFIG_WORKERS_MAX;
}
