/* Shared by segment.c (writing, reading) and segment_walk.c (whole files). */
#ifndef OFFICE_STORE_SEGMENT_INT_H
#define OFFICE_STORE_SEGMENT_INT_H

#include "base/types.h"

enum { SEGMENT_NAME = 16 };
void segment_name(u32 number, char out[SEGMENT_NAME]); /* "00000001.seg" */

#endif
