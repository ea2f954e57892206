/* Frames on their way out: built in the connection's buffer, then masked as the protocol requires of clients. */
#include "load.h"
#include <stdlib.h>
#include <string.h>

static const unsigned char mask_key[4] = {0x5a, 0xc3, 0x91, 0x2e};
static size_t frame_start, frame_at;

void reserve(struct conn *c, size_t more) {
  if (c->out_len + more <= c->out_cap) return;
  size_t cap = c->out_cap ? c->out_cap : 512;
  while (cap < c->out_len + more) cap *= 2;
  c->out = realloc(c->out, cap);
  if (!c->out) exit(2);
  c->out_cap = (uint32_t)cap;
}

/* A frame is built in place, then masked eight bytes at a time: begin with its exact payload length, add, end. */
void frame_begin(struct conn *c, size_t payload) {
  reserve(c, payload + 14);
  unsigned char *p = (unsigned char *)c->out + c->out_len;
  size_t n = 0;
  if (c->plain) {
    frame_start = frame_at = c->out_len;
    return;
  }
  p[n++] = 0x81;
  if (payload < 126) {
    p[n++] = (unsigned char)(0x80 | payload);
  } else {
    p[n++] = 0x80 | 126;
    p[n++] = (unsigned char)(payload >> 8);
    p[n++] = (unsigned char)payload;
  }
  memcpy(p + n, mask_key, 4);
  frame_start = frame_at = c->out_len + n + 4;
}

void frame_bytes(struct conn *c, const char *bytes, size_t n) {
  memcpy(c->out + frame_at, bytes, n);
  frame_at += n;
}

void frame_end(struct conn *c) {
  uint64_t key;
  memcpy(&key, mask_key, 4);
  memcpy((char *)&key + 4, mask_key, 4);
  char *p = c->out + frame_start;
  size_t n = c->plain ? 0 : frame_at - frame_start, i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t word;
    memcpy(&word, p + i, 8);
    word ^= key;
    memcpy(p + i, &word, 8);
  }
  for (; i < n; i++) p[i] ^= (char)mask_key[i & 3];
  c->out_len = (uint32_t)frame_at;
}
