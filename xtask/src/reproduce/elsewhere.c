/*
 * Shows every program that loads it another machine: the time is OFFSET seconds ahead, and folders are listed in an
 * order that follows from SEED and the names. Elapsed time and the times of files stay what they are.
 *
 * What deals with time allocates nothing and calls nothing but the kernel: an allocator may ask for the time while it
 * sets itself up.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int failed = (int)syscall(SYS_clock_gettime, clock, time);

	if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		time->tv_sec += OFFSET;
	return failed;
}

int gettimeofday(struct timeval *time, void *zone)
{
	int failed = (int)syscall(SYS_gettimeofday, time, zone);

	if (!failed && time)
		time->tv_sec += OFFSET;
	return failed;
}

time_t time(time_t *where)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_REALTIME, &now);
	if (where)
		*where = now.tv_sec;
	return now.tv_sec;
}

int timespec_get(struct timespec *time, int base)
{
	return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, time) ? base : 0;
}

/* An open folder, read to its end and sorted. Its `next` is its place, as telldir() gives it. */
struct listing {
	DIR *folder;
	struct dirent **entries;
	size_t count, next;
	struct listing *other;
};

static struct listing *listings;
static char lock;

static void *original(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static void take(void)
{
	while (__atomic_test_and_set(&lock, __ATOMIC_ACQUIRE))
		;
}

static void give(void)
{
	__atomic_clear(&lock, __ATOMIC_RELEASE);
}

/* FNV-1a. */
static uint64_t rank(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325 ^ SEED;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3;
	return hash;
}

static int compare(const void *left, const void *right)
{
	uint64_t a = rank((*(struct dirent *const *)left)->d_name);
	uint64_t b = rank((*(struct dirent *const *)right)->d_name);

	return (a > b) - (a < b);
}

static struct listing *find(DIR *folder)
{
	struct listing *listing;

	for (listing = listings; listing && listing->folder != folder;)
		listing = listing->other;
	return listing;
}

static void forget(DIR *folder)
{
	struct listing **place, *listing = NULL;

	take();
	for (place = &listings; *place; place = &(*place)->other) {
		if ((*place)->folder == folder) {
			listing = *place;
			*place = listing->other;
			break;
		}
	}
	give();
	if (!listing)
		return;
	while (listing->count)
		free(listing->entries[--listing->count]);
	free(listing->entries);
	free(listing);
}

/* The folder's listing, made at the first question; NULL without memory, and then in the kernel's order. */
static struct listing *list(DIR *folder)
{
	struct dirent *(*next)(DIR *) = original("readdir");
	struct listing *listing;
	struct dirent *entry;

	take();
	listing = find(folder);
	give();
	if (listing)
		return listing;
	listing = calloc(1, sizeof(*listing));
	if (!listing)
		return NULL;
	listing->folder = folder;
	while ((entry = next(folder))) {
		struct dirent **more = realloc(listing->entries, (listing->count + 1) * sizeof(*more));
		struct dirent *copy = malloc(entry->d_reclen);

		if (!more || !copy)
			abort();
		listing->entries = more;
		listing->entries[listing->count++] = memcpy(copy, entry, entry->d_reclen);
	}
	qsort(listing->entries, listing->count, sizeof(*listing->entries), compare);
	take();
	listing->other = listings;
	listings = listing;
	give();
	return listing;
}

struct dirent *readdir(DIR *folder)
{
	struct listing *listing = list(folder);

	if (!listing)
		return ((struct dirent *(*)(DIR *))original("readdir"))(folder);
	return listing->next < listing->count ? listing->entries[listing->next++] : NULL;
}

/* The same on 64-bit machines. */
struct dirent64 *readdir64(DIR *folder)
{
	return (struct dirent64 *)readdir(folder);
}

void rewinddir(DIR *folder)
{
	forget(folder);
	((void (*)(DIR *))original("rewinddir"))(folder);
}

long telldir(DIR *folder)
{
	struct listing *listing = list(folder);

	return listing ? (long)listing->next : -1;
}

void seekdir(DIR *folder, long place)
{
	struct listing *listing = list(folder);

	if (listing && place >= 0 && (size_t)place <= listing->count)
		listing->next = (size_t)place;
}

int closedir(DIR *folder)
{
	forget(folder);
	return ((int (*)(DIR *))original("closedir"))(folder);
}
