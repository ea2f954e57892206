/* One connection: TCP, the WebSocket handshake, frames in and out, and the frames before it is up. */
#define _GNU_SOURCE
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)
#define MAX_PARTIAL (4 * 1024 * 1024)
#define MAX_TRIES 20

static char read_buffer[READ_SIZE + MAX_PARTIAL];
char first_failure[256];

static void die(const char *what) {
  perror(what);
  exit(2);
}

static int port_of(const struct conn *c) { return opt.ports[c->index % (uint32_t)opt.port_count]; }

void conn_open(struct conn *c) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(c))};
  inet_pton(AF_INET, opt.host, &to.sin_addr);
  c->fd = fd;
  c->state = S_TCP;
  c->tries++;
  pending_count++;
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
    conn_close(c, strerror(errno));
    return;
  }
  struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
  c->wants_write = 1;
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) die("epoll_ctl");
}

void conn_close(struct conn *c, const char *why) {
  if (c->state == S_DEAD || c->state == S_FREE) return;
  if (first_failure[0] == 0) snprintf(first_failure, sizeof first_failure, "%s", why);
  if (c->state == S_UP) {
    up_count--;
    lost_count++;
  } else {
    pending_count--;
  }
  /* The client tries again if the server sheds load while thousands connect, and not if a live connection breaks. */
  int again = c->state != S_UP && c->tries < MAX_TRIES;
  close(c->fd);
  free(c->in);
  free(c->out);
  free(c->stream);
  c->in = c->out = c->stream = NULL;
  c->plain = 0;
  c->stream_len = c->in_len = c->out_len = c->out_off = c->out_cap = 0;
  c->state = again ? S_FREE : S_DEAD;
  if (again) retry_at = now_ns + 100000000ull;
  else dead_count++;
}

static void watch(struct conn *c, int write) {
  if (c->wants_write == write) return;
  struct epoll_event ev = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = c};
  c->wants_write = (uint8_t)write;
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
}

void send_text(struct conn *c, const char *text, size_t n) {
  frame_begin(c, n);
  frame_bytes(c, text, n);
  frame_end(c);
}

void flush_out(struct conn *c) {
  if (c->state == S_FREE || c->state == S_DEAD) return;
  while (c->out_off < c->out_len) {
    ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
    total.writes++;
    if (n < 0) {
      if (errno == EAGAIN) {
        watch(c, 1);
        return;
      }
      conn_close(c, strerror(errno));
      return;
    }
    c->out_off += (uint32_t)n;
  }
  c->out_len = c->out_off = 0;
  if (c->state != S_UP) { /* 15,000 idle connections need no buffers */
    free(c->out);
    c->out = NULL;
    c->out_cap = 0;
  }
  watch(c, 0);
}

static void is_up(struct conn *c) {
  c->state = S_UP;
  up_count++;
  pending_count--;
}

void conn_set_up(struct conn *c) {
  if (--c->setup_left == 0) is_up(c);
}

/* NATS ends its lines with CR LF; a frame of WebSocket needs no end. */
static void send_line(struct conn *c, const char *text, size_t n) {
  size_t end = opt.dialect == D_NATS ? 2 : 0;
  frame_begin(c, n + end);
  frame_bytes(c, text, n);
  frame_bytes(c, "\r\n", end);
  frame_end(c);
}

void conn_setup(struct conn *c) {
  const char *line = opt.setups ? opt.setups[c->index] : "";
  c->setup_left = 0;
  c->state = S_SETUP;
  while (*line) {
    size_t n = strcspn(line, "\t");
    send_line(c, line, n);
    c->setup_left++;
    line += n + (line[n] == '\t');
  }
  if (c->setup_left == 0) is_up(c);
}

static int starts(const char *p, size_t n, const char *prefix) {
  size_t k = strlen(prefix);
  return n >= k && memcmp(p, prefix, k) == 0;
}

static void on_text(struct conn *c, const char *p, size_t n) {
  static size_t count_length;
  if (count_length == 0) count_length = strlen(opt.count_prefix);
  total.frames++;
  if (n >= 2 && p[0] == '4' && c->state == S_UP) {
    if (p[1] == '2') {
      if (n >= count_length && memcmp(p, opt.count_prefix, count_length) == 0) event_delivered(p, n);
    } else if (p[1] == '3') {
      command_acked(c, p, n);
    } else {
      conn_close(c, "disconnected by a packet");
    }
    return;
  }
  if (n == 1 && p[0] == '2') {
    send_text(c, "3", 1);
    return;
  }
  if (c->state == S_OPEN && p[0] == '0') {
    char connect[2048];
    int k = snprintf(connect, sizeof connect, "40{\"token\":\"%s\"}", opt.tokens ? opt.tokens[c->index] : "");
    send_text(c, connect, (size_t)k);
    c->state = S_AUTH;
  } else if (c->state == S_AUTH && (starts(p, n, "44") || starts(p, n, "41"))) {
    char why[200];
    snprintf(why, sizeof why, "CONNECT refused: %.*s", (int)(n > 150 ? 150 : n), p);
    conn_close(c, why);
  } else if (c->state == S_AUTH && starts(p, n, opt.up_prefix)) {
    conn_setup(c);
  } else if (c->state == S_SETUP && starts(p, n, "43")) {
    conn_set_up(c);
  }
}

/* Returns how many bytes made whole frames. */
static size_t on_frames(struct conn *c, const char *p, size_t n) {
  size_t used = 0;
  while (n - used >= 2) {
    const unsigned char *f = (const unsigned char *)p + used;
    uint64_t length = f[1] & 127;
    size_t head = 2;
    if (length == 126) {
      if (n - used < 4) break;
      length = (uint64_t)f[2] << 8 | f[3];
      head = 4;
    } else if (length == 127) {
      if (n - used < 10) break;
      length = 0;
      for (int i = 2; i < 10; i++) length = length << 8 | f[i];
      head = 10;
    }
    if (n - used < head + length) break;
    int opcode = f[0] & 15;
    if (opcode <= 2 && length > 0 && opt.dialect == D_NATS) nats_bytes(c, p + used + head, length);
    else if (opcode == 1 && length > 0) on_text(c, p + used + head, length);
    else if (opcode == 8) {
      char why[200];
      int code = length >= 2 ? f[head] << 8 | f[head + 1] : 1005;
      snprintf(why, sizeof why, "closed by the server: %d %.*s", code, (int)(length > 2 ? length - 2 : 0), p + used + head + 2);
      conn_close(c, why);
    } else if (opcode == 9 && length < 126) {
      size_t at = c->out_len;
      send_text(c, p + used + head, length);
      c->out[at] = (char)0x8a;
    }
    if (c->state == S_DEAD || c->state == S_FREE) return n;
    used += head + length;
  }
  return used;
}

static size_t on_http(struct conn *c, const char *p, size_t n) {
  const char *end = memmem(p, n, "\r\n\r\n", 4);
  if (!end) return 0;
  if (!starts(p, n, "HTTP/1.1 101")) {
    char why[200];
    snprintf(why, sizeof why, "no upgrade: %.*s", 40, p);
    conn_close(c, why);
    return n;
  }
  if (opt.dialect == D_SIO || opt.dialect == D_NATS) c->state = S_OPEN;
  else conn_setup(c);
  return (size_t)(end - p) + 4;
}

static void on_readable(struct conn *c) {
  size_t have = c->in_len;
  if (have) memcpy(read_buffer, c->in, have);
  ssize_t got = recv(c->fd, read_buffer + have, READ_SIZE, 0);
  total.reads++;
  if (got <= 0) {
    if (got < 0 && errno == EAGAIN) return;
    conn_close(c, got == 0 ? "the server closed the connection" : strerror(errno));
    return;
  }
  total.bytes += (uint64_t)got;
  size_t n = have + (size_t)got, used = 0;
  if (c->state == S_HTTP) used = on_http(c, read_buffer, n);
  if (c->plain) used = http_answers(c, read_buffer, n);
  else if (c->state >= S_OPEN && c->state <= S_UP) used += on_frames(c, read_buffer + used, n - used);
  if (c->state == S_DEAD || c->state == S_FREE) return;
  size_t left = n - used;
  if (left > MAX_PARTIAL) {
    conn_close(c, "a frame over 4 MB");
    return;
  }
  if (left == 0) {
    if (c->in) {
      free(c->in);
      c->in = NULL;
    }
  } else {
    c->in = realloc(c->in, left);
    if (!c->in) die("realloc");
    memcpy(c->in, read_buffer + used, left);
  }
  c->in_len = (uint32_t)left;
}

void conn_event(struct conn *c, uint32_t events) {
  if (c->state == S_TCP && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
      conn_close(c, strerror(error));
      return;
    }
    if (opt.dialect == D_NCHAN && c->index < opt.publishers) {
      c->plain = 1;
      is_up(c);
      watch(c, 0);
      return;
    }
    char request[1024];
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                     opt.paths ? opt.paths[c->index] : opt.path, opt.host, port_of(c));
    if (n >= (int)sizeof request) {
      conn_close(c, "a path over 800 bytes");
      return;
    }
    reserve(c, (size_t)n);
    memcpy(c->out, request, (size_t)n);
    c->out_len = (uint32_t)n;
    c->state = S_HTTP;
    flush_out(c);
    return;
  }
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) on_readable(c);
  if (c->out_len > c->out_off) flush_out(c);
}
