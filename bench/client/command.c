/* Commands: built from a template, kept at a number in flight or sent on a schedule, their acks timed. */
#define _GNU_SOURCE
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum part_kind { P_TEXT, P_ACK, P_UUID, P_ROOM, P_NOW };
struct part {
  enum part_kind kind;
  char *text;
  size_t length;
};
static struct part parts[16];
static int part_count;
static uint64_t random_state[2];
static uint64_t delivered_before, sent_before;

static uint64_t random_next(void) {
  uint64_t a = random_state[0], b = random_state[1];
  random_state[0] = b;
  a ^= a << 23;
  random_state[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
  return random_state[1] + b;
}

static void add_part(enum part_kind kind, const char *text, size_t n) {
  if (part_count == 16) {
    fprintf(stderr, "command template has too many parts\n");
    exit(2);
  }
  parts[part_count++] = (struct part){kind, strndup(text, n), n};
}

/* A template has "{crlf}", because an order to this client is one line. */
void template_set(const char *text) {
  FILE *f = fopen("/dev/urandom", "r");
  if (!f || fread(random_state, sizeof random_state, 1, f) != 1) exit(2);
  fclose(f);
  for (int i = 0; i < part_count; i++) free(parts[i].text);
  part_count = 0;
  static const struct {
    const char *name;
    enum part_kind kind;
  } holes[] = {{"{ack}", P_ACK}, {"{uuid}", P_UUID}, {"{room}", P_ROOM}, {"{now}", P_NOW}, {"{crlf}", P_TEXT}};
  const char *from = text, *p = text;
  while (*p) {
    int hit = 0;
    for (int i = 0; i < 5; i++) {
      size_t n = strlen(holes[i].name);
      if (strncmp(p, holes[i].name, n) != 0) continue;
      if (p > from) add_part(P_TEXT, from, (size_t)(p - from));
      add_part(holes[i].kind, "\r\n", holes[i].kind == P_TEXT ? 2 : 0);
      p += n;
      from = p;
      hit = 1;
      break;
    }
    if (!hit) p++;
  }
  if (p > from) add_part(P_TEXT, from, (size_t)(p - from));
}

static void write_uuid(char *to) {
  static const char hex[] = "0123456789abcdef";
  uint64_t a = random_next(), b = random_next();
  a = (a & 0xffffffffffff0fffULL) | 0x4000;
  b = (b & 0x3fffffffffffffffULL) | 0x8000000000000000ULL;
  int at = 0;
  for (int i = 0; i < 32; i++) {
    if (i == 8 || i == 12 || i == 16 || i == 20) to[at++] = '-';
    uint64_t half = i < 16 ? a : b;
    to[at++] = hex[(half >> (60 - 4 * (i & 15))) & 15];
  }
}

/* `intended`: when the command was due. In the open loop a late client thus counts against the server's latency. */
void command_send(struct conn *c, uint64_t intended) {
  if (!c->sent_at) {
    c->sent_at = calloc(RING, sizeof *c->sent_at);
    c->sent_id = calloc(RING, sizeof *c->sent_id);
    if (!c->sent_at || !c->sent_id) exit(2);
    c->next_id = c->fifo = 1;
  }
  uint32_t id = c->next_id++;
  char ack[12], uuid[36], now[24];
  size_t now_length = (size_t)snprintf(now, sizeof now, "%llu", (unsigned long long)(intended / 1000));
  size_t ack_length = 0, length = 0;
  const char *room = opt.rooms ? opt.rooms[c->index] : "";
  size_t room_length = strlen(room);
  char digits[12];
  for (uint32_t rest = id; rest; rest /= 10) digits[ack_length++] = (char)('0' + rest % 10);
  for (size_t i = 0; i < ack_length; i++) ack[i] = digits[ack_length - 1 - i];
  for (int i = 0; i < part_count; i++) {
    switch (parts[i].kind) {
    case P_TEXT: length += parts[i].length; break;
    case P_ACK: length += ack_length; break;
    case P_UUID: length += 36; break;
    case P_ROOM: length += room_length; break;
    case P_NOW: length += now_length; break;
    }
  }
  frame_begin(c, length);
  for (int i = 0; i < part_count; i++) {
    switch (parts[i].kind) {
    case P_TEXT: frame_bytes(c, parts[i].text, parts[i].length); break;
    case P_ACK: frame_bytes(c, ack, ack_length); break;
    case P_UUID:
      write_uuid(uuid);
      frame_bytes(c, uuid, 36);
      break;
    case P_ROOM: frame_bytes(c, room, room_length); break;
    case P_NOW: frame_bytes(c, now, now_length); break;
    }
  }
  frame_end(c);
  c->sent_at[id & (RING - 1)] = intended;
  c->sent_id[id & (RING - 1)] = id;
  c->in_flight++;
  total.sent++;
}

/* The "t" in the body of an event is its due time, in µs of the clock that all processes of the machine share. */
void event_delivered(const char *p, size_t n) {
  total.deliveries++;
  if (now_ns < load.measure_from || now_ns >= load.measure_to) return;
  const char *t = memmem(p, n, "\"t\":", 4);
  if (!t) return;
  uint64_t us = 0;
  const char *digits = t + 4;
  while (digits < p + n && *digits == ' ') digits++; /* Postgres writes a space here: the event was backfilled */
  for (const char *d = digits; d < p + n && *d >= '0' && *d <= '9'; d++) us = us * 10 + (uint64_t)(*d - '0');
  if (us * 1000 <= now_ns) histogram_add(&delivered, now_ns - us * 1000);
}

static int network_has_room(void) {
  if (load.receivers == 0) return 1;
  uint64_t due = (total.sent - sent_before) * load.receivers, got = total.deliveries - delivered_before;
  return due < got + (uint64_t)load.outstanding * load.senders * load.receivers;
}

static void top_up(struct conn *c) {
  if (!load.running || load.rate > 0 || c->index >= load.senders || c->state != S_UP) return;
  while (c->in_flight < load.outstanding && network_has_room()) command_send(c, now_ns);
}

void command_acked(struct conn *c, const char *p, size_t n) {
  uint32_t id = 0;
  size_t i = 2;
  for (; i < n && p[i] >= '0' && p[i] <= '9'; i++) id = id * 10 + (uint32_t)(p[i] - '0');
  command_answered(c, i == 2 ? 0 : id, n >= i + 11 && memcmp(p + i, "[{\"ok\":true", 11) == 0, p, n);
}

/* id 0: answers come in the order of the commands and carry none. */
void command_answered(struct conn *c, uint32_t id, int ok, const char *answer, size_t n) {
  if (id == 0) id = c->fifo++;
  if (!c->sent_at || c->sent_id[id & (RING - 1)] != id) return;
  c->sent_id[id & (RING - 1)] = 0;
  c->in_flight--;
  total.acks++;
  if (!ok) {
    total.errors++;
    if (first_error[0] == 0) snprintf(first_error, sizeof first_error, "%.*s", (int)(n > 200 ? 200 : n), answer);
  } else if (now_ns >= load.measure_from && now_ns < load.measure_to) {
    histogram_add(&acked, now_ns - c->sent_at[id & (RING - 1)]);
  }
  top_up(c);
}

void load_begin(double warmup, double seconds) {
  now_ns = clock_ns();
  load.running = 1;
  load.start = now_ns;
  load.measure_from = now_ns + (uint64_t)(warmup * 1e9);
  load.measure_to = load.measure_from + (uint64_t)(seconds * 1e9);
  load.give_up = load.measure_to + 3000000000ull;
  load.scheduled = 0;
  load.turn = 0;
  sent_before = total.sent;
  delivered_before = total.deliveries;
  first_error[0] = 0;
  histogram_reset(&acked);
  histogram_reset(&delivered);
  for (uint32_t i = 0; i < opt.connections; i++) conns[i].in_flight = 0;
}

/* Called once an epoll round. */
void load_pump(void) {
  if (!load.running) return;
  if (now_ns >= load.measure_to) {
    load.running = 0;
    return;
  }
  if (load.rate > 0) {
    uint64_t due = (uint64_t)((double)(now_ns - load.start) / 1e9 * load.rate);
    for (; load.scheduled < due; load.scheduled++) {
      struct conn *c = &conns[load.turn];
      load.turn = (load.turn + 1) % load.senders;
      if (c->state != S_UP || c->in_flight >= RING / 2) {
        total.late++;
        continue;
      }
      command_send(c, load.start + (uint64_t)((double)load.scheduled / load.rate * 1e9));
      if (load.scheduled + load.senders >= due) flush_out(c);
    }
    return;
  }
  for (uint32_t i = 0; i < load.senders; i++) {
    struct conn *c = &conns[i];
    top_up(c);
    if (c->out_len > c->out_off && !c->wants_write) flush_out(c);
  }
}

/* Deliveries that are due and missing. */
uint64_t load_undelivered(void) {
  uint64_t due = (total.sent - sent_before) * load.receivers, got = total.deliveries - delivered_before;
  return due > got ? due - got : 0;
}

/* Whether every command is answered, or its wait is over. */
int load_done(void) {
  if (load.running) return 0;
  if (now_ns >= load.give_up) return 1;
  for (uint32_t i = 0; i < load.senders; i++)
    if (conns[i].state == S_UP && conns[i].in_flight > 0) return 0;
  return load_undelivered() == 0;
}
