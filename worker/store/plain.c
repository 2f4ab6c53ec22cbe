/*
 * Stores without a bucket.  Plain HTTP is only read; a signature, if any, is part of the URL.  Of
 * file stores only the limits are used.
 */
#include <limits.h>

#include "worker/store/private.h"

const struct store_dialect store_dialect_http = {
	.name = "http",
	.limits = {
		.key_max = URI_MAX - 1,
		.part_min = 1,
		.part_max = STORE_OBJECT_MAX,
		.parts_max = INT_MAX,
		.object_max = STORE_OBJECT_MAX,
	},
};

const struct store_dialect store_dialect_file = {
	.name = "file",
	.writable = true,
	.limits = {
		.key_max = 4095, /* PATH_MAX without its NUL */
		.part_min = 1,
		.part_max = STORE_OBJECT_MAX,
		.parts_max = 10000,
		.object_max = STORE_OBJECT_MAX,
	},
};
