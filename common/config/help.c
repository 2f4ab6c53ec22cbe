/*
 * "Did you mean": the remedy for an unknown key.
 */
#include "common/config/private.h"

#include <string.h>

/* The number of edits that make b of a; 31 for long names. */
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

/* The key of that name in another section, or NULL. */
static const struct config_key *
find_elsewhere(const char *name)
{
	size_t i;

	for (i = 0; i < CONFIG_KEYS; i++)
		if (strcmp(config_keys[i].name, name) == 0)
			return &config_keys[i];
	return NULL;
}

/* The key or section that may stand here and whose name is nearest, or NULL. */
static const char *
find_similar(enum config_section here, const char *name)
{
	const char *near = NULL;
	int i, best = 3, d;

	for (i = 0; i < CONFIG_KEYS + SECTIONS; i++) {
		const struct config_key *key = i < CONFIG_KEYS ? &config_keys[i] : NULL;
		const char *known = key != NULL ? key->name : config_section_names[i - CONFIG_KEYS];

		if ((key != NULL ? key->section : SECTION_TOP) == here &&
		    (d = distance(name, known)) < best) {
			best = d;
			near = known;
		}
	}
	return near;
}

/* A text that cannot be a name is not shown: it may be a secret that has lost its key. */
int
config_fail_unknown(struct config_ctx *ctx, const cfg_t *cfg, const char *name)
{
	enum config_section here = config_section_find(cfg->name);
	const struct config_key *other = find_elsewhere(name);
	const char *near = find_similar(here, name);

	if (other != NULL && other->section == SECTION_TOP)
		return config_fail(ctx, cfg->line,
		    "%s does not belong in %s; set it outside of sections", name, cfg->name);
	if (other != NULL)
		return config_fail(ctx, cfg->line,
		    "%s stands in the wrong place; it belongs in %s { }", name,
		    config_section_names[other->section]);
	if (here != SECTION_TOP && config_section_find(name) != SECTION_TOP)
		return config_fail(ctx, cfg->line, "%s inside of %s; close %s with '}' first", name,
		    cfg->name, cfg->name);
	if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] != '\0')
		return config_fail(ctx, cfg->line, "a text where a key belongs; write KEY = VALUE");
	if (near != NULL)
		return config_fail(
		    ctx, cfg->line, "unknown key '%.60s'; did you mean '%s'?", name, near);
	return config_fail(
	    ctx, cfg->line, "unknown key '%.60s'; ferryd.conf(5) lists the keys", name);
}
