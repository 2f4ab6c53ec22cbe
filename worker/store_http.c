/*
 * The dialects without a bucket: plain HTTP, which is only read and carries its own signature in the URL if it has one; and
 * files, of which only the limits are here.
 */
#include <limits.h>

#include "worker/store_dialect.h"

const struct store_dialect store_dialect_http = {
	.name = "http",
	.limits = {
		.key_max = URI_MAX - 1,
		.part_min = 1,
		.part_max = INT64_MAX,
		.parts_max = INT_MAX,
		.object_max = INT64_MAX,
	},
};

const struct store_dialect store_dialect_file = {
	.name = "file",
	.writable = true,
	.limits = {
		.key_max = 4095, /* PATH_MAX without its NUL */
		.part_min = 1,
		.part_max = INT64_MAX,
		.parts_max = 10000,
		.object_max = INT64_MAX,
	},
};
