/*
 * limits.c - how many connections an address has, over all workers
 *
 * Runs in the web worker, on memory that only web workers map.
 */
#include "web/limits.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "ipc/message.h"

#define ROWS 2
#define CELLS (IPC_WEB_SLICE_SIZE / sizeof(uint16_t) / ROWS)

static _Atomic uint16_t *
cell(const struct limits *l, unsigned int worker, unsigned int row, size_t at)
{
	return &l->cells[((size_t)worker * ROWS + row) * CELLS + at];
}

int
limits_open(struct limits *l, int fd, unsigned int index, unsigned int workers,
    const struct hash_key *key, struct err *e)
{
	size_t size = (size_t)workers * IPC_WEB_SLICE_SIZE;
	void *p;

	if (index >= workers)
		return err_set(e, "worker %u of %u", index, workers);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_errno(e, "cannot map the shared memory");
	*l = (struct limits){.memory = p,
	    .cells = p,
	    .index = index,
	    .workers = workers,
	    .key = *key};
	/* What a predecessor that died left behind. */
	memset((uint8_t *)p + (size_t)index * IPC_WEB_SLICE_SIZE, 0,
	    IPC_WEB_SLICE_SIZE);
	return 0;
}

void
limits_close(struct limits *l)
{
	if (l->memory != NULL)
		(void)munmap(
		    l->memory, (size_t)l->workers * IPC_WEB_SLICE_SIZE);
	l->memory = NULL;
	l->cells = NULL;
}

/* One hash gives the cells of both rows. */
static void
cells_of(const struct limits *l, const struct addr *a, size_t at[ROWS])
{
	size_t len = addr_is_v4(a) ? sizeof(a->ip) : sizeof(a->ip) / 2;
	uint64_t hash = hash_bytes(&l->key, (struct span){a->ip, len});

	at[0] = hash % CELLS;
	at[1] = (hash >> 32) % CELLS;
}

static uint32_t
count_in_row(const struct limits *l, unsigned int row, size_t at)
{
	uint32_t n = 0;

	for (unsigned int i = 0; i < l->workers; i++)
		n += atomic_load_explicit(
		    cell(l, i, row, at), memory_order_relaxed);
	return n;
}

/* Only this worker writes its slice: no read-modify-write is needed. */
static void
add(struct limits *l, const size_t at[ROWS], int change)
{
	for (unsigned int row = 0; row < ROWS; row++) {
		_Atomic uint16_t *c = cell(l, l->index, row, at[row]);
		int n = atomic_load_explicit(c, memory_order_relaxed) + change;

		if (n >= 0 && n <= UINT16_MAX)
			atomic_store_explicit(
			    c, (uint16_t)n, memory_order_relaxed);
	}
}

bool
limits_enter(struct limits *l, const struct addr *a, uint32_t most)
{
	size_t at[ROWS];

	cells_of(l, a, at);
	if (count_in_row(l, 0, at[0]) >= most &&
	    count_in_row(l, 1, at[1]) >= most)
		return false;
	add(l, at, 1);
	return true;
}

void
limits_leave(struct limits *l, const struct addr *a)
{
	size_t at[ROWS];

	cells_of(l, a, at);
	add(l, at, -1);
}
