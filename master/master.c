#include "master/master.h"

#include "master/queue/deaths.h"
#include "master/queue/done.h"
#include "master/queue/stock.h"

void
master_init(struct master *m, struct config *conf)
{
	m->state.conf = conf;
	m->state.conf_generation = 1;
	m->ready_fd = -1;
	m->pool.state = m->node.state = m->limits.state = m->upkeep.state = m->queue.state =
	    &m->state;
	m->node.pool = m->limits.pool = m->upkeep.pool = m->queue.pool = &m->pool;
	m->limits.node = m->upkeep.node = m->queue.node = &m->node;
	m->queue.limits = &m->limits;
	m->exporter.state = &m->state;
	m->exporter.pool = &m->pool;
	exporter_init(&m->exporter);
	m->keys.state = &m->state;
	m->keys.pool = &m->pool;
	m->queue.upkeep = &m->upkeep;
	keys_init(&m->keys);
	deaths_init(&m->queue);
	done_init(&m->queue);
	stock_init(&m->queue);
}
