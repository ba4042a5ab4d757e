/*
 * Goes in front of the C library's popen and pclose in the kernel's conf (LD_PRELOAD): what a command printed is kept
 * in the folder PROBE_ANSWERS, and read from there the next time. Hundreds of compiler probes are nearly all of the
 * time that conf takes, and their answers don't depend on what it is asked.
 *
 * A file holds the command, a NUL, and its output. Commands run in conf's own environment, without this.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[4096];

static void fail(const char *what, const char *command)
{
	fprintf(stderr, "popen.c: %s: %s: %s\n", what, strerror(errno), command);
	exit(99);
}

__attribute__((constructor)) static void start(void)
{
	const char *given = getenv("PROBE_ANSWERS");

	if (!given || strlen(given) >= sizeof(folder) - 64)
		fail("PROBE_ANSWERS names no folder", "");
	strcpy(folder, given);
	unsetenv("PROBE_ANSWERS");
	unsetenv("LD_PRELOAD");
}

/* FNV-1a */
static uint64_t hash(const char *text)
{
	uint64_t value = 0xcbf29ce484222325;

	for (; *text; text++)
		value = (value ^ (unsigned char)*text) * 0x100000001b3;
	return value;
}

static void ask(const char *command, const char *path)
{
	FILE *(*real_popen)(const char *, const char *) = (FILE * (*)(const char *, const char *))dlsym(RTLD_NEXT, "popen");
	int (*real_pclose)(FILE *) = (int (*)(FILE *))dlsym(RTLD_NEXT, "pclose");
	char fresh[4200], block[4096];
	FILE *program = real_popen(command, "r");
	FILE *answer;
	size_t length;

	snprintf(fresh, sizeof(fresh), "%s.%d", path, (int)getpid());
	answer = fopen(fresh, "w");
	if (!program || !answer || fwrite(command, strlen(command) + 1, 1, answer) != 1)
		fail(fresh, command);
	while ((length = fread(block, 1, sizeof(block), program)) > 0)
		if (fwrite(block, length, 1, answer) != 1)
			fail(fresh, command);
	real_pclose(program);
	if (fclose(answer) || rename(fresh, path))
		fail(fresh, command);
}

FILE *popen(const char *command, const char *mode)
{
	size_t length = strlen(command) + 1;
	char path[4160], *known = malloc(length);
	FILE *answer;

	(void)mode;
	snprintf(path, sizeof(path), "%s/%016llx", folder, (unsigned long long)hash(command));
	if (access(path, R_OK))
		ask(command, path);
	answer = fopen(path, "r");
	if (!answer || !known || fread(known, length, 1, answer) != 1)
		fail(path, command);
	if (memcmp(known, command, length))
		fail("two commands have one name", command);
	free(known);
	return answer;
}

int pclose(FILE *answer)
{
	return fclose(answer);
}
