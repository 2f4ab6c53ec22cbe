#include "worker/transfer/transfer.h"

#include "common/base/log.h"

void
transfer_log_start(const struct transfer *t)
{
	struct log_line line;

	task_log_begin(&line, LOG_INFO, t->task, " started");
	if (t->size >= 0)
		log_int(&line, "size", t->size);
	log_int(&line, "parts", t->nparts);
	if (t->resumed > 0)
		log_int(&line, "resumed", t->resumed);
	log_int(&line, "attempt", t->task->attempt + 1);
	log_end(&line);
}

int64_t
transfer_part_offset(const struct transfer *t, int number)
{
	return (int64_t)(number - 1) * t->part_size;
}

int64_t
transfer_part_size(const struct transfer *t, int number)
{
	int64_t left = t->size - transfer_part_offset(t, number);

	return left < t->part_size ? left : t->part_size;
}
