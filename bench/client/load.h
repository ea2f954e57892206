/*
 * The load client: one thread, one epoll set, up to about 19,000 connections. The client is in C, so on a two-core machine the
 * server saturates its core first. bench/README.md explains the client's share of the CPU.
 *
 * The client speaks four dialects:
 *   sio    WebSocket, Engine.IO open, Socket.IO CONNECT with a token (Parley and socket.io)
 *   raw    WebSocket only (bare uWebSockets.js, ws and the null server)
 *   nchan  WebSocket for subscribers; the first --publishers connections are HTTP, each command a POST, pipelined
 *   nats   the text protocol of NATS inside WebSocket frames, "verbose", so that NATS answers each PUB by +OK
 *
 * In the first three a frame that begins with "42" is an event, with "43" an ack, and "2" is a ping. NATS and nchan carry the
 * same event, byte for byte.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdint.h>
#include <stddef.h>

#define MAX_SERVERS 8

enum state { S_FREE, S_TCP, S_HTTP, S_OPEN, S_AUTH, S_SETUP, S_UP, S_DEAD };

enum dialect { D_SIO, D_RAW, D_NCHAN, D_NATS };

struct conn {
  int fd;
  uint8_t state;
  uint8_t wants_write;
  uint8_t tries;
  uint8_t plain; /* an HTTP publisher: bytes go out as they are, no frames */
  uint16_t setup_left;
  uint32_t index;
  /* Command ids run from 1 on each connection. */
  uint32_t next_id;
  uint32_t in_flight;
  uint32_t fifo;      /* the next id, for servers whose acks carry no id */
  uint64_t *sent_at;  /* ring by id; NULL for connections that never send */
  uint32_t *sent_id;  /* the id of a ring slot; 0 after its answer */
  char *in;           /* the beginning of an incomplete frame; NULL most of the time */
  uint32_t in_len;
  char *stream;       /* nats: the beginning of a line or message that goes on in the next frame */
  uint32_t stream_len;
  char *out;
  uint32_t out_len, out_off, out_cap;
};

struct options {
  const char *host;
  int ports[MAX_SERVERS]; /* connection i goes to port i mod port_count: the nodes of a cluster */
  int port_count;
  const char *path;
  enum dialect dialect;
  uint32_t connections;
  uint32_t publishers;
  uint32_t handshakes;      /* the most handshakes under way */
  const char *up_prefix;    /* the frame after which a sio connection counts as up */
  const char *count_prefix; /* the events that are counted as deliveries */
  char **tokens;
  char **setups; /* for each connection: frames to send before it is up, each acked, separated by tabs */
  char **rooms;  /* for each connection: the value of {room} in the command */
  char **paths;  /* for each connection: the path, instead of `path` */
  int server_pids[MAX_SERVERS]; /* the processes that count as the server in processor time */
  int server_pid_count;
};

/* One load, as a line on stdin describes it. Times in ns, of CLOCK_MONOTONIC. */
struct load {
  int running;
  uint32_t senders;
  uint32_t outstanding; /* per sender, closed loop */
  double rate;          /* in all, open loop; 0: closed loop */
  uint32_t receivers;   /* deliveries of each message; bounds what is under way in the network. 0: none expected */
  uint64_t start, measure_from, measure_to, give_up;
  uint64_t scheduled;
  uint32_t turn;
};

struct counters {
  uint64_t sent, acks, errors, deliveries, frames, bytes, late, reads, writes;
};

extern struct options opt;
extern struct load load;
extern struct counters total;
extern struct conn *conns;
extern uint32_t up_count, dead_count, lost_count, pending_count;
extern uint64_t retry_at; /* no new handshakes before this */
extern int epoll_fd;
extern uint64_t now_ns; /* refreshed once an epoll round and before a command's time is taken */

#define RING 1024u /* commands in flight on one connection, at most */

/* wire.c */
void conn_open(struct conn *c);
void conn_event(struct conn *c, uint32_t events);
void conn_close(struct conn *c, const char *why);
void conn_setup(struct conn *c); /* sends the frames that a connection sends before it counts as up */
void conn_set_up(struct conn *c); /* one of these frames was answered */
void send_text(struct conn *c, const char *text, size_t n);
void flush_out(struct conn *c);
extern char first_failure[256];

/* frame.c */
void reserve(struct conn *c, size_t more);
void frame_begin(struct conn *c, size_t payload);
void frame_bytes(struct conn *c, const char *bytes, size_t n);
void frame_end(struct conn *c);

/* command.c */
void template_set(const char *text);
void event_delivered(const char *payload, size_t n);
void command_send(struct conn *c, uint64_t intended);
void command_acked(struct conn *c, const char *payload, size_t n);
void command_answered(struct conn *c, uint32_t id, int ok, const char *answer, size_t n);
void load_begin(double warmup, double seconds);
void load_pump(void);
int load_done(void);
uint64_t load_undelivered(void);

/* nats.c */
void nats_bytes(struct conn *c, const char *payload, size_t n);

/* http.c */
size_t http_answers(struct conn *c, const char *p, size_t n);

/* stats.c */
uint64_t clock_ns(void);
/* From a command to its ack, and from a command's {now} to each delivery of it, whichever client sent it. */
struct histogram;
extern struct histogram acked, delivered;
void histogram_reset(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t ns);
void stats_window_open(void);
void stats_window_close(void);
void stats_print(void);
void stats_print_cpu(void);
extern char first_error[256];

#endif
