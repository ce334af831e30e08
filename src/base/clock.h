/*
 * clock.h - the two clocks: one for waiting, one for the record
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds of a clock that never goes back; its zero means nothing. */
uint64_t clock_mono_ms(void);
/* The same clock in microseconds. */
uint64_t clock_mono_us(void);
/* The earlier of two times at which something is due; 0: never. */
uint64_t clock_earlier(uint64_t a_ms, uint64_t b_ms);
/* Microseconds since 1970, UTC. May jump when the machine's clock is set. */
int64_t clock_wall_us(void);

#endif
