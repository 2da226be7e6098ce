// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * remap-lab-count: counts calls of kernel functions independently of the tracer:
 * dynamic probes of tracefs, counted by perf, without BPF.
 *
 *   remap-lab-count NAME=FUNCTION[:VALUE]...
 *
 * VALUE: only the calls whose second argument (32 bits) is this. Prints
 * "ready" when all are counted, and at SIGINT "NAME COUNT" for each. Exit status
 * 1: it could not count; stderr has the reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACEFS	"/sys/kernel/tracing/"
#define GROUP	"remap_lab_count"

struct counter {
	char *name;
	int *fds;	/* one for each processor */
};

static void fail(const char *format, ...)
{
	va_list arguments;
	int error = errno;

	va_start(arguments, format);
	fputs("remap-lab-count: ", stderr);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, ": %s\n", strerror(error));
	va_end(arguments);
	exit(1);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail("writing %s to %s", text, path);
	close(fd);
}

/* The probe's number among tracepoints. */
static uint64_t probe(unsigned int n, const char *function)
{
	char text[256], path[256];
	unsigned long long id;
	FILE *file;

	snprintf(text, sizeof(text), "p:" GROUP "/p%u %s second=%%si:u32\n", n,
		 function);
	put(TRACEFS "kprobe_events", text);
	snprintf(path, sizeof(path), TRACEFS "events/" GROUP "/p%u/id", n);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%llu", &id) != 1)
		fail("reading %s", path);
	fclose(file);
	return id;
}

static void forget(unsigned int n)
{
	char text[64];

	snprintf(text, sizeof(text), "-:" GROUP "/p%u\n", n);
	put(TRACEFS "kprobe_events", text);
}

static void begin(struct counter *counter, uint64_t id, const char *value,
		  long processors)
{
	struct perf_event_attr attr = {
		.type	= PERF_TYPE_TRACEPOINT,
		.size	= sizeof(attr),
		.config	= id,
	};
	char filter[64];
	long cpu;

	counter->fds = calloc(processors, sizeof(*counter->fds));
	if (!counter->fds)
		fail("%s", counter->name);
	for (cpu = 0; cpu < processors; cpu++) {
		/* Every process, on this processor. */
		int fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1,
				 PERF_FLAG_FD_CLOEXEC);

		if (fd < 0)
			fail("perf_event_open for %s", counter->name);
		snprintf(filter, sizeof(filter), "second==%s", value ? value : "");
		if (value && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter))
			fail("the filter %s", filter);
		counter->fds[cpu] = fd;
	}
}

static uint64_t total(const struct counter *counter, long processors)
{
	uint64_t sum = 0, count;
	long cpu;

	for (cpu = 0; cpu < processors; cpu++) {
		if (read(counter->fds[cpu], &count, sizeof(count)) != sizeof(count))
			fail("reading the count of %s", counter->name);
		sum += count;
		close(counter->fds[cpu]);
	}
	return sum;
}

int main(int argc, char **argv)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct counter *counters = calloc(argc, sizeof(*counters));
	sigset_t end;
	int i, got;

	if (argc < 2 || !counters) {
		fputs("usage: remap-lab-count NAME=FUNCTION[:VALUE]...\n", stderr);
		return 2;
	}
	sigemptyset(&end);
	sigaddset(&end, SIGINT);
	sigprocmask(SIG_BLOCK, &end, NULL);
	for (i = 1; i < argc; i++) {
		char *name = strtok(argv[i], "="), *function = strtok(NULL, ":");

		if (!function) {
			fprintf(stderr, "remap-lab-count: no function in %s\n", argv[i]);
			return 2;
		}
		counters[i].name = name;
		begin(&counters[i], probe(i, function), strtok(NULL, ""), processors);
	}
	puts("ready");
	fflush(stdout);
	sigwait(&end, &got);
	for (i = 1; i < argc; i++) {
		printf("%s %llu\n", counters[i].name,
		       (unsigned long long)total(&counters[i], processors));
		forget(i);
	}
	return 0;
}
