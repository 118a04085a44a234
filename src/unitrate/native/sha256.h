/* SHA-256 of a text in two parts (FIPS 180-4): the head of an identity and the event's id. */
#ifndef UNITRATE_SHA256_H
#define UNITRATE_SHA256_H

#include <stddef.h>

/* The first 16 bytes of the digest of `head` and `tail`, one behind the other. */
void half_sha256(const unsigned char *head, size_t head_size, const unsigned char *tail, size_t tail_size,
                 unsigned char into[16]);

/* Use the processor's own instructions where it has them; called once. Returns whether it has. */
int choose_sha256(int allow_hardware);

#endif
