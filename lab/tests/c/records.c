// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * remap-lab-records: reads the records of `remap trace --perf-events PATH` as any program can, by
 * libbpf's perf_buffer and the header that `remap schema --c` prints.
 *
 *   remap-lab-records PATH
 *
 * Prints "KIND TIME TID" for each record; for a signal also "DEVICE SUB". Ends at SIGINT. Exit status 1: it
 * could not read, or lost something; stderr has the reason.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "remap_records.h"

/* Pages of each processor's buffer. */
#define PAGES	64

static volatile sig_atomic_t ended;
static unsigned long long lost;

static void on_signal(int signal)
{
	(void)signal;
	ended = 1;
}

static void on_record(void *context, int cpu, void *data, __u32 size)
{
	const struct remap_header *header = data;

	(void)context;
	(void)cpu;
	if (size < sizeof(*header)) {
		lost++;
		return;
	}
	printf("%" PRIu32 " %" PRIu64 " %" PRIu32, header->kind, header->time_ns,
	       header->tid);
	if (header->kind == REMAP_KIND_SIGNAL && size >= sizeof(struct remap_signal)) {
		const struct remap_signal *sent = data;

		printf(" %" PRIu64 " %" PRIu32, sent->device, sent->sub);
	}
	putchar('\n');
}

static void on_loss(void *context, int cpu, __u64 count)
{
	(void)context;
	(void)cpu;
	lost += count;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct perf_buffer *buffer;
	int map;

	if (argc != 2) {
		fputs("usage: remap-lab-records PATH\n", stderr);
		return 2;
	}
	/* Without SA_RESTART: it interrupts the poll. */
	sigaction(SIGINT, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	map = bpf_obj_get(argv[1]);
	if (map < 0) {
		fprintf(stderr, "remap-lab-records: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	buffer = perf_buffer__new(map, PAGES, on_record, on_loss, NULL, NULL);
	if (!buffer) {
		fprintf(stderr, "remap-lab-records: buffers: %s\n", strerror(errno));
		return 1;
	}
	while (!ended) {
		int got = perf_buffer__poll(buffer, -1);

		if (got < 0 && got != -EINTR) {
			fprintf(stderr, "remap-lab-records: polling: %s\n", strerror(-got));
			return 1;
		}
	}
	perf_buffer__consume(buffer);
	perf_buffer__free(buffer);
	if (lost) {
		fprintf(stderr, "remap-lab-records: lost %llu\n", lost);
		return 1;
	}
	return 0;
}
