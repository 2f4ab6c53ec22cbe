/*
 * How the files of a store's keys can be told to have changed without reading them.
 */
#ifndef MASTER_KEYS_STAMP_H
#define MASTER_KEYS_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config/config.h"

struct stamp {
	struct {
		uint64_t device;
		uint64_t inode; /* 0: there is no such file */
		int64_t size;
		int64_t changed_s, changed_ns; /* ctime: contents, owner and mode */
	} files[CONFIG_KEY_FILES];
};

void stamp_take(struct stamp *stamp, const struct config_store *store);

bool stamp_is_same(const struct stamp *a, const struct stamp *b);

#endif
