/*
 * address.h - what the kernel says of an IPv6 address of this machine
 */
#ifndef MONITOR_ADDRESS_H
#define MONITOR_ADDRESS_H

#include "base/addr.h"

enum address_state {
	ADDRESS_MISSING, /* on no interface */
	ADDRESS_THERE,
	ADDRESS_TENTATIVE, /* the kernel still asks whether it is taken */
	ADDRESS_DUPLICATE, /* another machine has it */
};

/* Reads /proc/net/if_inet6. */
enum address_state address_find_v6(const struct addr *a);

#endif
