#include "master/keys/stamp.h"

#include <string.h>
#include <sys/stat.h>

void
stamp_take(struct stamp *stamp, const struct config_store *store)
{
	struct config_key_file files[CONFIG_KEY_FILES];
	struct stat st;
	int i, n = config_key_files(store, files);

	memset(stamp, 0, sizeof(*stamp));
	for (i = 0; i < n; i++) {
		if (stat(files[i].path, &st) == -1)
			continue;
		stamp->files[i].device = st.st_dev;
		stamp->files[i].inode = st.st_ino;
		stamp->files[i].size = st.st_size;
		stamp->files[i].changed_s = st.st_ctim.tv_sec;
		stamp->files[i].changed_ns = st.st_ctim.tv_nsec;
	}
}

bool
stamp_is_same(const struct stamp *a, const struct stamp *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}
