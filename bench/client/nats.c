/*
 * NATS inside WebSocket frames: lines that end with CR LF, and messages behind a MSG line with their length. A frame may
 * end anywhere, so the frames are read as one stream.
 */
#define _GNU_SOURCE
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int starts(const char *p, size_t n, const char *prefix) {
  size_t k = strlen(prefix);
  return n >= k && memcmp(p, prefix, k) == 0;
}

/* "verbose": NATS answers each line of the client, so that the client can wait for SUB and PUB. */
static const char hello[] = "CONNECT {\"verbose\":true,\"pedantic\":false,\"lang\":\"c\",\"version\":\"1\",\"protocol\":1}\r\n";

static void on_line(struct conn *c, const char *p, size_t n) {
  if (starts(p, n, "+OK")) {
    if (c->state == S_AUTH) conn_setup(c);
    else if (c->state == S_SETUP) conn_set_up(c);
    else command_answered(c, 0, 1, p, n);
  } else if (starts(p, n, "PING")) {
    send_text(c, "PONG\r\n", 6);
  } else if (starts(p, n, "INFO") && c->state == S_OPEN) {
    send_text(c, hello, sizeof hello - 1);
    c->state = S_AUTH;
  } else if (starts(p, n, "-ERR")) {
    char why[200];
    snprintf(why, sizeof why, "%.*s", (int)(n > 150 ? 150 : n), p);
    conn_close(c, why);
  }
}

/* Returns how many bytes made whole lines and messages. */
static size_t parse(struct conn *c, const char *p, size_t n) {
  size_t count_length = strlen(opt.count_prefix), used = 0;
  while (used < n) {
    const char *line = p + used, *end = memmem(line, n - used, "\r\n", 2);
    if (!end) break;
    size_t length = (size_t)(end - line);
    if (!starts(line, length, "MSG ")) {
      on_line(c, line, length);
      if (c->state == S_DEAD || c->state == S_FREE) return n;
      used += length + 2;
      continue;
    }
    const char *digits = end;
    while (digits > line && digits[-1] != ' ') digits--;
    size_t size = 0;
    for (; digits < end && *digits >= '0' && *digits <= '9'; digits++) size = size * 10 + (size_t)(*digits - '0');
    if (n - used < length + 2 + size + 2) break;
    total.frames++;
    if (c->state == S_UP && size >= count_length && memcmp(end + 2, opt.count_prefix, count_length) == 0)
      event_delivered(end + 2, size);
    used += length + 2 + size + 2;
  }
  return used;
}

void nats_bytes(struct conn *c, const char *p, size_t n) {
  if (c->stream_len > 0) {
    c->stream = realloc(c->stream, c->stream_len + n);
    if (!c->stream) exit(2);
    memcpy(c->stream + c->stream_len, p, n);
    p = c->stream;
    n += c->stream_len;
  }
  size_t used = parse(c, p, n);
  if (c->state == S_DEAD || c->state == S_FREE) return; /* its buffers are gone */
  char *rest = NULL;
  if (used < n) {
    rest = malloc(n - used);
    if (!rest) exit(2);
    memcpy(rest, p + used, n - used);
  }
  free(c->stream);
  c->stream = rest;
  c->stream_len = (uint32_t)(n - used);
}
