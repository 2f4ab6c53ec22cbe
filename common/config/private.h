/*
 * What the files of the configuration share: the table of keys, and how errors are told.  A file
 * calls those in front of it:
 *
 *   text < table < key < config < help read credentials check < secret < load
 */
#ifndef COMMON_CONFIG_PRIVATE_H
#define COMMON_CONFIG_PRIVATE_H

#include <confuse.h>

#include "common/config/config.h"

enum config_section {
	SECTION_TOP,
	SECTION_WORKER,
	SECTION_HTTP,
	SECTION_METRICS,
	SECTION_STORE,
	SECTIONS
};

enum config_type {
	TYPE_TEXT,
	TYPE_LIST, /* of texts */
	TYPE_WORD, /* one of words, kept as its index (an enum) */
	TYPE_INT,
	TYPE_SIZE,
	TYPE_DURATION,
	TYPE_MODE, /* of a file, in octal digits */
	TYPE_BOOL,
	TYPE_REFUSED, /* words holds the remedy */
};

/* The kinds of store that have a key. */
#define FOR_S3 (1u << STORE_S3)
#define FOR_COS (1u << STORE_COS)
#define FOR_FILE (1u << STORE_FILE)
#define FOR_OBJECTS (FOR_S3 | FOR_COS)
#define FOR_ALL (FOR_OBJECTS | FOR_FILE)

/* One key. */
struct config_key {
	enum config_section section;
	const char *name;
	enum config_type type;
	unsigned kinds; /* in SECTION_STORE: FOR_... */

	/* The place: in struct config_store for SECTION_STORE, else in struct config. */
	size_t offset;
	size_t size; /* of the text, or of one text of a list */
	size_t count_offset; /* of a list: its int that counts the texts */

	/* The values. */
	const char *initial; /* as it would stand in the file; NULL: empty, 0, false */
	int64_t min; /* of a mode: the bits that it must have */
	int64_t max; /* of a list: how many texts; of a mode: the bits that it may have */
	const char *const *words; /* of a number: the first word stands for 0 */
	bool may_be_empty;
	bool may_repeat; /* of a list: a text may be in it twice */
	/*
	 * Checks one text, and may normalise it in place.  Returns NULL, or "what is wrong; what
	 * would be right", to follow the key's name.  The value is left out: it may hold a
	 * password.
	 */
	const char *(*check)(char *text);
};

extern const struct config_key config_keys[];
#define CONFIG_KEYS 67
extern const char *const config_section_names[SECTIONS];

/* A load under way. */
struct config_ctx {
	struct config *conf;
	cfg_t *root;

	/* Where the parser is. */
	cfg_t *section; /* the store section being read */
	int section_line;
	int lines[CONFIG_KEYS]; /* the line of each key, 0: not set; of the present store only */

	/* The first error. */
	bool failed;
	char *why;
	size_t why_size;
};

/* Why a value is refused: "what is wrong; what would be right". */
struct config_why {
	char text[512];
};

/* text.c: the checks for the table. */
const char *config_text_conninfo(char *text);
const char *config_text_absolute(char *text);
const char *config_text_log(char *text);
const char *config_text_relative(char *text);
const char *config_text_host_pattern(char *text);
const char *config_text_resolve(char *text);
const char *config_text_endpoint(char *text);
const char *config_text_listen(char *text);
const char *config_text_name(char *text);
const char *config_text_kms_key(char *text);
const char *config_text_variable(char *text);
const char *config_text_profile(char *text);

/* Why the len bytes at buf cannot be a secret of less than size bytes, or NULL. */
const char *config_text_secret(const char *buf, size_t len, size_t size);

/* key.c */
enum config_section config_section_find(const char *name); /* unknown: SECTION_TOP */
const struct config_key *config_key_find(enum config_section section, const char *name);
void config_key_defaults(enum config_section section, void *base);

/* Parses value into its place below base; first: it replaces a list instead of being appended.
 * Returns 0, or -1 with why. */
int config_key_set(const struct config_key *key, void *base, const char *value, bool first,
    struct config_why *why);

/* config.c */

/* Notes the first error as "FILE:LINE: ...", or as "FILE: ..." for line 0.  Returns -1. */
int config_fail(struct config_ctx *ctx, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The line of a key, or of its section if the key is not set. */
int config_line(const struct config_ctx *ctx, enum config_section section, const char *name);

/* help.c: refuses an unknown key, with the remedy.  Returns -1 after config_fail(). */
int config_fail_unknown(struct config_ctx *ctx, const cfg_t *cfg, const char *name);

/* read.c: the file as a heap string with its comments blanked.  NULL after config_fail(). */
char *config_read(struct config_ctx *ctx, const char *file);

/*
 * credentials.c: finds a profile in a credentials file of AWS's, Tencent's or another tool, and
 * fills in keys.  Changes text.  keys must be zeros.  Returns 0, or -1 with why; *line is then the
 * line of the file, or 0 for the whole file.
 */
#define CONFIG_CREDENTIALS_MAX (64 << 10) /* bytes of such a file */
int config_credentials_parse(
    char *text, const char *profile, struct store_keys *keys, int *line, struct config_why *why);

/* secret.c: reads the secrets of a store.  Returns 0, or -1 after config_fail(). */
int config_secret_load(struct config_ctx *ctx, struct config_store *store);

/* secret.c: reads the token of the metrics, if there is one.  The same. */
int config_secret_load_token(struct config_ctx *ctx);

/* check.c: checks a complete section, or the whole file.  0, or -1 after config_fail(). */
int config_check_name(struct config_ctx *ctx, const char *name, int line);
int config_check_store(struct config_ctx *ctx, struct config_store *store);
int config_check_all(struct config_ctx *ctx);

#endif
