/* A verification's report as fuse and verify show it. */
#ifndef CHECKED_H
#define CHECKED_H

#include <stdio.h>

#include "report.h"

void print_verification(FILE *file, const nnf_verify_report *report);
json_t *json_verification(const nnf_verify_report *report);

#endif
