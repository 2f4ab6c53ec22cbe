/*
 * The status page: one file of HTML, made of page/ when ferry-exporter is built, and what it reads.
 */
#ifndef MASTER_EXPORTER_PAGE_H
#define MASTER_EXPORTER_PAGE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "master/exporter/exporter.h"

/* The file, which the makefile turns into an array. */
extern const char page_file[];

/*
 * Writes the page, and the Content-Security-Policy that goes with it: only the script and the style
 * that bear this answer's nonce count, and scripts cannot turn text into HTML.
 */
void page_write(char *policy, size_t policy_size, FILE *out);

/* Writes how this node stands, and its history after a tick, as JSON. */
void page_write_node(const struct exporter *e, int64_t since, FILE *out);

#endif
