/*
 * ferryctl doctor: what its files share.  Each part looks at one thing and tells its findings.
 */
#ifndef MASTER_CTL_DOCTOR_H
#define MASTER_CTL_DOCTOR_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/config/config.h"
#include "master/ctl/ctl.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
	struct ctl *ctl;
	const char *file; /* of the configuration */
	struct config *conf; /* NULL: it is bad, or there is none */
	bool write; /* stores may be written to */
	char **uris; /* that the caller has named */
	int nuris;

	/* The findings so far. */
	bool json;
	int told;
	enum doctor_level worst;
};

/*
 * Prints a finding: what was checked, and a sentence that ends with what would mend it.  The
 * sentence may come from outside.
 */
void doctor_tell(struct doctor *d, enum doctor_level level, const char *check, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Takes a word of another program for a level: "ok", "warn" or "fail". */
enum doctor_level doctor_level(const char *word);

/*
 * Runs a program, which gets descriptor channel as number 3 unless that is -1, and gives each line
 * of its output to take.  errors: its standard error too.  Closes channel.  Returns its exit code,
 * or -1 after a finding.
 */
typedef void doctor_take(struct doctor *d, char *line);
struct doctor_program {
	const char *name; /* for findings */
	const char *path;
	char *const *argv;
	int channel;
	bool errors;
};
int doctor_run(struct doctor *d, const struct doctor_program *program, doctor_take *take);

/* The path of a program beside this one.  Returns buf. */
char *doctor_beside(const char *name, char *buf, size_t size);

/* The parts. */
void doctor_database(struct doctor *d, const char *conninfo); /* leaves ctl->conn open */
void doctor_machine(struct doctor *d);
void doctor_stores(struct doctor *d);

#endif
