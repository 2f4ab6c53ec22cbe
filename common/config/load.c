/*
 * Loading.  libConfuse reads the syntax and calls back with each value, which goes through the
 * table of keys into its place.
 *
 * The callbacks take no argument of ours, so the load under way is in a static pointer.  Only one
 * thread loads.
 */
#include "common/config/config.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/private.h"

static struct config_ctx *loading;

static void on_error(cfg_t *cfg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* Adds the remedy to an error of libConfuse. */
static void
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	static const char *const remedies[][2] = {
		{ "found duplicate title", "each store has a name of its own" },
		{ "no sub-section", "keys are plain names" },
		{ "premature end of file", "a value or a closing '}' is missing" },
		{ "unexpected closing brace", "there is one '}' more than '{'" },
		{ "missing equal sign", "write KEY = VALUE" },
		{ "missing opening brace", "write SECTION { ... }, or store \"NAME\" { ... }" },
		{ "missing title", "write store \"NAME\" { ... }" },
		{ "attempt to append", "+= is for lists, write = here" },
		{ "unexpected t", "write KEY = VALUE, KEY = {VALUE, VALUE} or SECTION { ... }" },
		{ "", "ferryd.conf(5) describes the syntax" },
	};
	char text[512];
	size_t i;

	vsnprintf(text, sizeof(text), fmt, ap);
	if (strncmp(text, "no such option '", 16) == 0) {
		text[strlen(text) - 1] = '\0';
		config_fail_unknown(loading, cfg, text + 16);
		return;
	}
	/* Only punctuation is shown: a text may be a secret that has lost its key. */
	if (strncmp(text, "unexpected token '", 18) == 0 && !ispunct((unsigned char)text[18]))
		strlcpy(text, "unexpected text", sizeof(text));
	for (i = 0; strncmp(text, remedies[i][0], strlen(remedies[i][0])) != 0; i++)
		continue;
	config_fail(loading, cfg->line, "%s; %s", text, remedies[i][1]);
}

/* The store of a section.  The first call for a section makes the store, with the defaults.  NULL
 * after config_fail(). */
static struct config_store *
take_store(struct config_ctx *ctx, cfg_t *section)
{
	struct config *conf = ctx->conf;
	struct config_store *store = &conf->stores[conf->nstores];
	size_t i;

	if (ctx->section == section)
		return store - 1;
	/* Inside a section, the root's line is still the one that opened the section. */
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

/* Called by libConfuse with each value. */
static int
on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	enum config_section section = config_section_find(cfg->name);
	const struct config_key *key = config_key_find(section, opt->name);
	int *line = &loading->lines[key - config_keys];
	bool first = opt->nvalues == 1;
	void *base = loading->conf;
	struct config_why why;

	if (section == SECTION_STORE && (base = take_store(loading, cfg)) == NULL)
		return -1;
	if (first && *line != 0)
		return config_fail(loading, cfg->line, "%s is set twice; line %d has it already",
		    key->name, *line);
	*line = cfg->line;
	if (config_key_set(key, base, value, first, &why) == -1)
		return config_fail(loading, cfg->line, "%s", why.text);
	*(const char **)result = value;
	return 0;
}

/* Called by libConfuse at the end of a store section. */
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

/* Makes the options of one section from the table of keys.  opts has room for all keys, and is
 * zero. */
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

/* The line of NAME = in a text without comments.  libConfuse does not call back for an empty list.
 */
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
	config_key_defaults(SECTION_METRICS, ctx->conf);
	if (cfg_parse_buf(ctx->root, text) != CFG_SUCCESS)
		return config_fail(
		    ctx, ctx->root->line, "syntax error; ferryd.conf(5) describes the syntax");
	queues = cfg_getopt(ctx->root, "queues");
	if ((queues->flags & CFGF_MODIFIED) != 0 && queues->nvalues == 0)
		return config_fail(ctx, find_line(text, "queues"),
		    "queues is empty; name one at least, or leave it out for {\"default\"}");
	if (config_secret_load_token(ctx) == -1)
		return -1;
	return config_check_all(ctx);
}

struct config *
config_load(const char *file, char *why, size_t why_size)
{
	struct config *conf = calloc(1, sizeof(*conf));
	struct config_ctx ctx = { .conf = conf, .why = why, .why_size = why_size };
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
