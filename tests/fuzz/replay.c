// SPDX-License-Identifier: GPL-2.0
/*
 * Feeds each file of a corpus to a fuzz target, without a fuzzer: the directories and files
 * given, else tests/fuzz/corpus/NAME of the program's name test_fuzz_NAME.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "tests/fuzz/fuzz.h"

#define MAX_SECONDS 30 /* sanitizers and a busy machine are slow; an endless loop is longer */

static unsigned nfiles;

static void replay_file(const char *path)
{
	static uint8_t room[1 << 20];
	FILE *f = fopen(path, "rb");
	time_t start = time(NULL);
	uint8_t *copy;
	size_t len;

	if (!f) {
		perror(path);
		exit(2);
	}
	len = fread(room, 1, sizeof(room), f);
	fclose(f);
	/* Of just that size, so that a sanitizer sees an overrun. */
	copy = malloc(len ? len : 1);
	if (!copy)
		abort();
	memcpy(copy, room, len);
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	if (time(NULL) - start > MAX_SECONDS) {
		fprintf(stderr, "%s: took %ld s\n", path, (long)(time(NULL) - start));
		exit(1);
	}
	nfiles++;
}

static void replay(const char *path)
{
	struct dirent **names;
	struct stat st;
	char file[1024];
	int i, n;

	if (stat(path, &st) || !S_ISDIR(st.st_mode)) {
		replay_file(path);
		return;
	}
	n = scandir(path, &names, NULL, alphasort);
	for (i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			replay_file(file);
		free(names[i]);
	}
	free(names);
}

int main(int argc, char **argv)
{
	const char *name = strstr(argv[0], "test_fuzz_");
	char path[1024];
	int i;

	for (i = 1; i < argc; i++)
		replay(argv[i]);
	if (argc < 2 && name) {
		snprintf(path, sizeof(path), "tests/fuzz/corpus/%s",
			 name + strlen("test_fuzz_"));
		replay(path);
	}
	printf("%u inputs\n", nfiles);
	return nfiles ? 0 : 1;
}
