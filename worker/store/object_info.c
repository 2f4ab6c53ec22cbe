#include "worker/store/object_info.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "common/base/memory.h"

#define ROOM_MIN 512

void
object_info_init(struct object_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = -1;
	info->range_first = -1;
	info->range_last = -1;
	info->range_total = -1;
	info->content_length = -1;
	info->date = -1;
	info->retry_after = -1;
	info->retry_at = -1;
	info->modified_at = -1;
}

void
object_info_clear(struct object_info *info)
{
	size_t room = info->room;
	char *texts = info->texts;

	object_info_init(info);
	info->room = room;
	info->texts = texts;
}

void
object_info_release(struct object_info *info)
{
	memory_free(info->texts);
	object_info_init(info);
}

/* Returns the place of len more bytes behind the texts. */
static char *
extend(struct object_info *info, size_t len)
{
	size_t room = info->room < ROOM_MIN ? ROOM_MIN : info->room;

	while (room < info->used + len)
		room *= 2;
	if (room != info->room)
		info->texts = memory_array(info->texts, room, 1);
	info->room = room;
	info->used += len;
	return info->texts + info->used - len;
}

void
object_info_copy(struct object_info *to, const struct object_info *from)
{
	struct object_info kept = *to;

	*to = *from;
	to->texts = kept.texts;
	to->room = kept.room;
	to->used = 0;
	if (from->used > 0)
		memcpy(extend(to, from->used), from->texts, from->used);
}

void
object_info_add(struct object_info *info, enum info_text which, const char *text)
{
	size_t len = strlen(text) + 1;
	char *p = extend(info, len + 1);

	*p = (char)which;
	memcpy(p + 1, text, len);
}

void
object_info_add_pair(
    struct object_info *info, enum info_text which, const char *name, const char *value)
{
	size_t name_len = strlen(name), value_len = strlen(value) + 1;
	char *p = extend(info, 1 + name_len + 1 + value_len);

	*p++ = (char)which;
	memcpy(p, name, name_len);
	p[name_len] = '\x1f';
	memcpy(p + name_len + 1, value, value_len);
}

void
object_info_remove_some(struct object_info *info, enum info_text which, const char *prefix)
{
	size_t at = 0, len;

	while (at < info->used) {
		len = 1 + strlen(info->texts + at + 1) + 1;
		if (info->texts[at] != (char)which ||
		    strncasecmp(info->texts + at + 1, prefix, strlen(prefix)) != 0) {
			at += len;
			continue;
		}
		memmove(info->texts + at, info->texts + at + len, info->used - at - len);
		info->used -= len;
	}
}

void
object_info_remove(struct object_info *info, enum info_text which)
{
	object_info_remove_some(info, which, "");
}

void
object_info_set(struct object_info *info, enum info_text which, const char *text)
{
	object_info_remove(info, which);
	object_info_add(info, which, text);
}

const char *
object_info_next(const struct object_info *info, enum info_text which, const char *entry)
{
	const char *p = entry == NULL ? info->texts : entry + strlen(entry) + 1;

	if (info->used == 0)
		return NULL;
	for (; p != info->texts + info->used; p += 1 + strlen(p + 1) + 1)
		if (*p == (char)which)
			return p + 1;
	return NULL;
}

const char *
object_info_text(const struct object_info *info, enum info_text which)
{
	const char *entry = object_info_next(info, which, NULL);

	return entry != NULL ? entry : "";
}

void
object_info_add_metadata(struct object_info *info, const char *pairs)
{
	while (*pairs != '\0') {
		size_t len = strcspn(pairs, "\x1e");
		char *p = extend(info, 1 + len + 1);

		*p = (char)INFO_METADATA;
		memcpy(p + 1, pairs, len);
		p[1 + len] = '\0';
		pairs += len + (pairs[len] == '\x1e');
	}
}
