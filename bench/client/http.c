/* An HTTP publisher: the answers to its POSTs, in their order. */
#define _GNU_SOURCE
#include "load.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static size_t content_length(const char *head, const char *end) {
  for (const char *line = head; line < end;) {
    if (strncasecmp(line, "content-length:", 15) == 0) return (size_t)strtoul(line + 15, NULL, 10);
    const char *next = memmem(line, (size_t)(end - line), "\r\n", 2);
    if (!next) break;
    line = next + 2;
  }
  return 0;
}

/* Returns how many bytes made whole answers. */
size_t http_answers(struct conn *c, const char *p, size_t n) {
  size_t used = 0;
  while (used < n) {
    const char *head = p + used, *end = memmem(head, n - used, "\r\n\r\n", 4);
    if (!end) break;
    size_t length = (size_t)(end - head) + 4 + content_length(head, end);
    if (n - used < length) break;
    int ok = length > 12 && memcmp(head, "HTTP/1.1 2", 10) == 0;
    command_answered(c, 0, ok, head, (size_t)(end - head));
    used += length;
  }
  return used;
}
