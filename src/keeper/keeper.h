/*
 * keeper.h - the role that has the private keys
 */
#ifndef KEEPER_KEEPER_H
#define KEEPER_KEEPER_H

/* The keeper's whole life; returns its exit code. */
int keeper_main(const char *argv0);

#endif
