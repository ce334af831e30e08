/*
 * loop.h - one epoll event loop a process
 *
 * A watch is embedded in whatever owns the descriptor. The loop calls back
 * with the events, then, once for each round of events, `after_round`: there
 * a process does what is best done together (send a batch, commit, free what
 * was closed). A watch may be removed in any callback, also that of another
 * watch, and its memory reused after the round.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop_watch {
	int fd; /* -1: not watched; its events of this round are dropped */
	void (*on_event)(struct loop_watch *w, uint32_t events);
};

struct loop {
	int epoll_fd;
	bool stopped;
	bool poll_once; /* the next round does not wait for events */
	int n_events;	/* of this round */
	void *owner;	/* passed to the two calls below */
	void (*after_round)(void *owner); /* may be NULL */
	/* Called when due_ms passed; sets its next due_ms, or 0 for never. */
	void (*on_due)(void *owner);
	uint64_t due_ms; /* on the clock of clock_mono_ms; 0: never */
	uint64_t now_ms; /* read once a round */
};

int loop_open(struct loop *l, void *owner, struct err *e);
void loop_close(struct loop *l);
/* events: EPOLLIN and friends. The watch has its fd and on_event set. */
int loop_add(struct loop *l, struct loop_watch *w, uint32_t events);
int loop_change(struct loop *l, struct loop_watch *w, uint32_t events);
/* Forgets the watch and sets its fd to -1; returns the fd. Owner: caller. */
int loop_remove(struct loop *l, struct loop_watch *w);
/* Asks for on_due at when_ms or earlier. */
void loop_wake_at(struct loop *l, uint64_t when_ms);
/* Runs until loop_stop; -1 when epoll itself fails. */
int loop_run(struct loop *l, struct err *e);
void loop_stop(struct loop *l);

#endif
