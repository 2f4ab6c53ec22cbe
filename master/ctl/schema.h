/*
 * The files of the schema: schema.sql, and upgrade-NNN.sql for each version but the first.  The
 * head of a file, its first comment, says what the version brings and what it locks.  The line
 * "-- Compatible from: N" names the oldest version whose programs work with this one.
 */
#ifndef MASTER_CTL_SCHEMA_H
#define MASTER_CTL_SCHEMA_H

#include <stddef.h>

#define SCHEMA_PATH_MAX 4096 /* bytes of a path */

/* The paths of the files below dir.  path has SCHEMA_PATH_MAX bytes. */
void schema_file(char *path, const char *dir);
void schema_upgrade_file(char *path, const char *dir, int version);

/*
 * Finds the directory: $FERRY_SCHEMA_DIR; else ../etc from the program, for a build that is not
 * installed; else where "make install" puts the files.  Returns 0, or -1 after a message.
 */
int schema_find_dir(char *dir, size_t size);

/* The newest version that dir has an upgrade file for.  Version 1 has none. */
int schema_newest(const char *dir);

/* Returns the whole file as a string on the heap, or NULL after printing the reason. */
char *schema_read(const char *path);

/* What a file says of its version's compatibility; the version itself if it says nothing. */
int schema_compatible_from(const char *text, int version);

/* Prints the head of a file, two blanks in front of each line. */
void schema_print_head(const char *text);

#endif
