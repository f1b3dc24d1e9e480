/* The chains of a model as fuse and inspect show them. */
#ifndef CHAINS_H
#define CHAINS_H

#include <stdio.h>

#include "report.h"

/* Splits "a,b,c", or "parent.{a, b, c}" as print_chains writes it, into a chain's names, which
 * point into *words; makes room for the types. All three are to be freed whatever comes of it; an
 * exit status, told about already. */
int chain_parse(nnf_found_chain *out, char **words, const char *text);

/* A line for each chain: its modules, their types, the type that stands for them. At most `most`
 * lines; the rest are counted. */
void print_chains(FILE *file, const nnf_found_chain *chains, size_t n, size_t most);

/* What stays unfused: how many of each type, or, where `all`, a line for each module and its
 * reason. */
void print_left(FILE *file, const nnf_chain_list *list, bool all);

json_t *json_chains(const nnf_found_chain *chains, size_t n);
json_t *json_left(const nnf_chain_list *list);

#endif
