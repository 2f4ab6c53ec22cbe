/*
 * Loading a configuration: libConfuse reads the syntax and calls back with each value, which goes
 * through the table of keys straight into its place.
 *
 * libConfuse's callbacks carry no argument of ours, so the load under way is in a static pointer.
 * Nothing here is called from two threads.
 */
#include "common/config.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_internal.h"

static struct config_ctx *loading;

int
config_fail(struct config_ctx *ctx, int line, const char *fmt, ...)
{
	char text[768], *p;
	va_list ap;

	if (ctx->failed)
		return -1;
	ctx->failed = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* One line, whatever a string of the file holds. */
	for (p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	if (line > 0)
		snprintf(ctx->why, ctx->why_size, "%s:%d: %s", ctx->conf->file, line, text);
	else
		snprintf(ctx->why, ctx->why_size, "%s: %s", ctx->conf->file, text);
	return -1;
}

int
config_line(const struct config_ctx *ctx, enum config_section section, const char *name)
{
	const struct config_key *key = config_key_find(section, name);

	if (key != NULL && ctx->lines[key - config_keys] != 0)
		return ctx->lines[key - config_keys];
	return section == SECTION_STORE ? ctx->section_line : 0;
}

static enum config_section
section_named(const char *name)
{
	int i;

	for (i = 0; i < SECTIONS; i++)
		if (strcmp(config_section_names[i], name) == 0)
			return (enum config_section)i;
	return SECTION_TOP;
}

/* Edits that make b of a, if they are few: for "did you mean". */
static int
distance(const char *a, const char *b)
{
	int row[32], corner, above, i, j, la = (int)strlen(a), lb = (int)strlen(b);

	if (la > 31 || lb > 31)
		return 31;
	for (j = 0; j <= lb; j++)
		row[j] = j;
	for (i = 1; i <= la; i++) {
		corner = row[0];
		row[0] = i;
		for (j = 1; j <= lb; j++) {
			above = row[j];
			corner += a[i - 1] != b[j - 1];
			if (above + 1 < corner)
				corner = above + 1;
			if (row[j - 1] + 1 < corner)
				corner = row[j - 1] + 1;
			row[j] = corner;
			corner = above;
		}
	}
	return row[lb];
}

/*
 * What could have been meant by an unknown name: the same key elsewhere, else a similar one here.  What cannot be a name
 * is not shown: it can be a secret that has lost its key.
 */
static void
fail_unknown(cfg_t *cfg, const char *name)
{
	enum config_section here = section_named(cfg->name);
	const char *near = NULL;
	int i, best = 3, d;

	for (i = 0; i < CONFIG_KEYS + SECTIONS; i++) {
		const struct config_key *key = i < CONFIG_KEYS ? &config_keys[i] : NULL;
		const char *known = key != NULL ? key->name : config_section_names[i - CONFIG_KEYS];

		if (key != NULL && strcmp(known, name) == 0) {
			if (key->section == SECTION_TOP)
				config_fail(loading, cfg->line,
				    "%s does not belong into %s; set it outside of sections", name,
				    cfg->name);
			else
				config_fail(loading, cfg->line,
				    "%s stands in the wrong place; it belongs into %s { }", name,
				    config_section_names[key->section]);
			return;
		}
		if ((key != NULL ? key->section : SECTION_TOP) == here &&
		    (d = distance(name, known)) < best) {
			best = d;
			near = known;
		}
	}
	if (here != SECTION_TOP && section_named(name) != SECTION_TOP)
		config_fail(loading, cfg->line, "%s inside of %s; close %s with '}' first", name,
		    cfg->name, cfg->name);
	else if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] != '\0')
		config_fail(loading, cfg->line, "a text where a key belongs; write KEY = VALUE");
	else if (near != NULL)
		config_fail(
		    loading, cfg->line, "unknown key '%.60s'; did you mean '%s'?", name, near);
	else
		config_fail(
		    loading, cfg->line, "unknown key '%.60s'; ferryd.conf(5) lists the keys", name);
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* libConfuse's own complaints, with what would be right. */
static void
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	static const char *const remedies[][2] = {
	    {"found duplicate title", "each store has a name of its own"},
	    {"no sub-section", "keys are plain names"},
	    {"premature end of file", "a value or a closing '}' is missing"},
	    {"unexpected closing brace", "there is one '}' more than '{'"},
	    {"missing equal sign", "write KEY = VALUE"},
	    {"missing opening brace", "write SECTION { ... }, or store \"NAME\" { ... }"},
	    {"missing title", "write store \"NAME\" { ... }"},
	    {"attempt to append", "+= is for lists, write = here"},
	    {"unexpected t", "write KEY = VALUE, KEY = {VALUE, VALUE} or SECTION { ... }"},
	    {"", "ferryd.conf(5) describes the syntax"},
	};
	char text[512];
	size_t i;

	vsnprintf(text, sizeof(text), fmt, ap);
	if (strncmp(text, "no such option '", 16) == 0) {
		text[strlen(text) - 1] = '\0';
		fail_unknown(cfg, text + 16);
		return;
	}
	/* A text can be a secret that has lost its key; only punctuation is shown. */
	if (strncmp(text, "unexpected token '", 18) == 0 && !ispunct((unsigned char)text[18]))
		strlcpy(text, "unexpected text", sizeof(text));
	for (i = 0; strncmp(text, remedies[i][0], strlen(remedies[i][0])) != 0; i++)
		continue;
	config_fail(loading, cfg->line, "%s; %s", text, remedies[i][1]);
}

/* The store of a section; at its first sight a new one, with the defaults.  NULL after
 * config_fail(). */
static struct config_store *
take_store(struct config_ctx *ctx, cfg_t *section)
{
	struct config *conf = ctx->conf;
	struct config_store *store = &conf->stores[conf->nstores];
	size_t i;

	if (ctx->section == section)
		return store - 1;
	/* Inside a section the root still counts at the line that opened it. */
	ctx->section_line = ctx->root->line;
	if (conf->nstores == CONFIG_STORES_MAX) {
		config_fail(ctx, ctx->section_line, "more than %d stores; that is the limit",
		    CONFIG_STORES_MAX);
		return NULL;
	}
	if (config_check_name(ctx, section->title, ctx->section_line) == -1)
		return NULL;
	for (i = 0; i < CONFIG_KEYS; i++)
		if (config_keys[i].section == SECTION_STORE)
			ctx->lines[i] = 0;
	config_key_defaults(SECTION_STORE, store);
	strlcpy(store->name, section->title, sizeof(store->name));
	ctx->section = section;
	conf->nstores++;
	return store;
}

static int
on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	enum config_section section = section_named(cfg->name);
	const struct config_key *key = config_key_find(section, opt->name);
	int *line = &loading->lines[key - config_keys];
	bool first = opt->nvalues == 1;
	void *base = loading->conf;
	char why[512];

	if (section == SECTION_STORE && (base = take_store(loading, cfg)) == NULL)
		return -1;
	if (first && *line != 0)
		return config_fail(loading, cfg->line, "%s is set twice; line %d has it already",
		    key->name, *line);
	*line = cfg->line;
	if (config_key_set(key, base, value, first, why, sizeof(why)) == -1)
		return config_fail(loading, cfg->line, "%s", why);
	*(const char **)result = value;
	return 0;
}

/* The end of a store section. */
static int
on_store(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *section = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	struct config_store *store = take_store(loading, section);

	(void)cfg;
	if (store == NULL || config_check_store(loading, store) == -1)
		return -1;
	return config_secret_load(loading, store);
}

/* The options of one section, from the table; opts has room for all keys, and is zero. */
static size_t
make_options(enum config_section section, cfg_opt_t *opts)
{
	size_t i, n = 0;

	for (i = 0; i < CONFIG_KEYS; i++)
		if (config_keys[i].section == section) {
			opts[n].name = config_keys[i].name;
			opts[n].type = CFGT_STR;
			opts[n].flags =
			    CFGF_NODEFAULT | (config_keys[i].type == TYPE_LIST ? CFGF_LIST : 0);
			opts[n++].parsecb = on_value;
		}
	return n;
}

static cfg_t *
make_parser(void)
{
	cfg_opt_t opts[SECTIONS][CONFIG_KEYS + SECTIONS];
	cfg_t *root;
	size_t n = 0;
	int i;

	memset(opts, 0, sizeof(opts));
	for (i = SECTIONS - 1; i >= 0; i--)
		n = make_options((enum config_section)i, opts[i]);
	for (i = SECTION_WORKER; i < SECTIONS; i++, n++) {
		opts[SECTION_TOP][n].name = config_section_names[i];
		opts[SECTION_TOP][n].type = CFGT_SEC;
		opts[SECTION_TOP][n].subopts = opts[i];
		if (i == SECTION_STORE)
			opts[SECTION_TOP][n].flags = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;
	}
	if ((root = cfg_init(opts[SECTION_TOP], CFGF_NONE)) != NULL) {
		cfg_set_error_function(root, on_error);
		cfg_set_validate_func(root, "store", on_store);
	}
	return root;
}

/* The line of NAME = in a text without comments, for a list that calls nobody back because it is
 * empty. */
static int
find_line(const char *text, const char *name)
{
	const char *p, *end;
	int line = 1;

	for (p = text; *p != '\0'; line += *p++ == '\n') {
		end = p + strlen(name);
		if ((p == text || strchr(" \t\n}", p[-1]) != NULL) &&
		    strncmp(p, name, strlen(name)) == 0 &&
		    strchr("=+", end[strspn(end, " \t")]) != NULL)
			return line;
	}
	return 0;
}

static int
parse(struct config_ctx *ctx, const char *text)
{
	cfg_opt_t *queues;

	config_key_defaults(SECTION_TOP, ctx->conf);
	config_key_defaults(SECTION_WORKER, ctx->conf);
	config_key_defaults(SECTION_HTTP, ctx->conf);
	if (cfg_parse_buf(ctx->root, text) != CFG_SUCCESS)
		return config_fail(
		    ctx, ctx->root->line, "syntax error; ferryd.conf(5) describes the syntax");
	queues = cfg_getopt(ctx->root, "queues");
	if ((queues->flags & CFGF_MODIFIED) != 0 && queues->nvalues == 0)
		return config_fail(ctx, find_line(text, "queues"),
		    "queues is empty; name one at least, or leave it out for {\"default\"}");
	return config_check_all(ctx);
}

struct config *
config_load(const char *file, char *why, size_t why_size)
{
	struct config *conf = calloc(1, sizeof(*conf));
	struct config_ctx ctx = {.conf = conf, .why = why, .why_size = why_size};
	char *text = NULL;
	int result = -1;

	if (conf == NULL || strlcpy(conf->file, file, sizeof(conf->file)) >= sizeof(conf->file)) {
		snprintf(why, why_size, "%.64s: %s", file,
		    conf == NULL ? "out of memory" : "the path is too long");
		free(conf);
		return NULL;
	}
	if ((text = config_read(&ctx, file)) != NULL) {
		if ((ctx.root = make_parser()) == NULL) {
			config_fail(&ctx, 0, "out of memory; nothing could be read");
		} else {
			loading = &ctx;
			result = parse(&ctx, text);
			loading = NULL;
			cfg_free(ctx.root);
		}
	}
	free(text);
	if (result == -1) {
		config_free(conf);
		return NULL;
	}
	return conf;
}

void
config_free(struct config *conf)
{
	freezero(conf, sizeof(*conf));
}

const struct config_store *
config_find_store(const struct config *conf, const char *name)
{
	int i;

	for (i = 0; i < conf->nstores; i++)
		if (strcmp(conf->stores[i].name, name) == 0)
			return &conf->stores[i];
	return NULL;
}
