/* SPDX-License-Identifier: GPL-2.0 */
/* Frames from the words of translator/words.h, on eth0 or eth1 of a host under test. */
#ifndef NF2BPF_TESTS_BUILD_H
#define NF2BPF_TESTS_BUILD_H

#include "frame.h"

/* 0, or -1 with what is wrong in error. */
int frame_build(const char *text, struct frame *out, char error[128]);

#endif
