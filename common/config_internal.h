/*
 * What the files of the configuration share: the table of keys, and how errors are told.
 */
#ifndef COMMON_CONFIG_INTERNAL_H
#define COMMON_CONFIG_INTERNAL_H

#include <confuse.h>

#include "common/config.h"

enum config_section { SECTION_TOP, SECTION_WORKER, SECTION_HTTP, SECTION_STORE, SECTIONS };

enum config_type {
	TYPE_TEXT,
	TYPE_LIST, /* of texts */
	TYPE_WORD, /* one of words, kept as its index (an enum) */
	TYPE_INT,
	TYPE_SIZE,
	TYPE_DURATION,
	TYPE_BOOL,
	TYPE_REFUSED, /* known, so that the remedy can be told: the word list holds it */
};

/* Kinds of store that a key belongs to. */
#define FOR_S3 (1u << STORE_S3)
#define FOR_COS (1u << STORE_COS)
#define FOR_FILE (1u << STORE_FILE)
#define FOR_OBJECTS (FOR_S3 | FOR_COS)
#define FOR_ALL (FOR_OBJECTS | FOR_FILE)

/*
 * One key.  The offsets lead into struct config, or into struct config_store for SECTION_STORE.
 * check looks at one text, may bring it into its usual form in place, and returns NULL or "what is
 * wrong; what would be right" (to follow the name of the key, and without the value where that may
 * hold a password).
 */
struct config_key {
	enum config_section section;
	const char *name;
	enum config_type type;
	size_t offset;
	size_t size; /* of the text, or of one text of a list */
	const char *initial; /* as it would stand in the file; NULL: empty, 0, false */
	int64_t min;
	int64_t max; /* of the value; of a list: how many */
	size_t count_offset; /* of a list: the int that counts */
	const char *const *words; /* of a number: the one that is kept as 0 */
	const char *(*check)(char *text);
	unsigned kinds;
	bool may_be_empty;
};

extern const struct config_key config_keys[];
#define CONFIG_KEYS 48
extern const char *const config_section_names[SECTIONS];

/* What one load knows besides its result. */
struct config_ctx {
	struct config *conf;
	cfg_t *root;
	cfg_t *section; /* the store section being read */
	int section_line;
	int lines[CONFIG_KEYS]; /* where each key was set, 0: nowhere; of a store only for the one
				   being read */
	char *why;
	size_t why_size;
	bool failed;
};

/* Notes the first error, "FILE:LINE: …" (line 0: "FILE: …").  Returns -1. */
int config_fail(struct config_ctx *ctx, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The line of a key by its name, else the line of its section. */
int config_line(const struct config_ctx *ctx, enum config_section section, const char *name);

/* config_read.c: the whole file, comments blanked, as a heap string; NULL after config_fail(). */
char *config_read(struct config_ctx *ctx, const char *file);

/* config_key.c */
const struct config_key *config_key_find(enum config_section section, const char *name);
void config_key_defaults(enum config_section section, void *base);
/* Parses value into its place below base; first: it is not appended to a list.  Returns 0, or -1
 * with why. */
int config_key_set(const struct config_key *key, void *base, const char *value, bool first,
    char *why, size_t why_size);

/* config_text.c: checks for the table. */
const char *config_text_conninfo(char *text);
const char *config_text_absolute(char *text);
const char *config_text_log(char *text);
const char *config_text_relative(char *text);
const char *config_text_host_pattern(char *text);
const char *config_text_resolve(char *text);
const char *config_text_endpoint(char *text);
const char *config_text_name(char *text);
const char *config_text_variable(char *text);

/* config_check.c: what only shows when a section or the file is complete.  0, or -1 after
 * config_fail(). */
int config_check_name(struct config_ctx *ctx, const char *name, int line);
int config_check_store(struct config_ctx *ctx, struct config_store *store);
int config_check_all(struct config_ctx *ctx);

/* config_secret.c: reads the secrets of a store.  0, or -1 after config_fail(). */
int config_secret_load(struct config_ctx *ctx, struct config_store *store);

#endif
