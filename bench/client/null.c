/*
 * The null server does only the least work of a WebSocket server, so a run against it shows the limit of the load client.
 * "null PORT echo SIZE" answers each frame with an ack. "null PORT fanout SIZE" also writes a frame of SIZE bytes to every
 * other connection. "null PORT rooms SIZE" writes the frame of "P rXY …" to the connections that sent "j rXY", where XY is a
 * number in base 36.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_FD 20000
static unsigned char open_for_frames[MAX_FD], dropped[MAX_FD];
static char input[65536], *events, acks[65536];
static size_t event_size, ack_size;
static int top_fd, fanout, rooms;

#define ROOMS (36 * 36)
#define ROOM_SIZE 64
static int members[ROOMS][ROOM_SIZE], member_count[ROOMS];

static size_t frame(char *to, const char *head, size_t payload) {
  size_t n = 0;
  to[n++] = (char)0x81;
  if (payload < 126) {
    to[n++] = (char)payload;
  } else {
    to[n++] = 126;
    to[n++] = (char)(payload >> 8);
    to[n++] = (char)payload;
  }
  memset(to + n, 'x', payload);
  memcpy(to + n, head, strlen(head));
  return n + payload;
}

/* A slow reader would block all others: bytes without room in its buffer end the measurement. */
static void put(int fd, const char *bytes, size_t n) {
  while (n > 0) {
    ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
      usleep(50);
      continue;
    }
    if (sent < 0) {
      dropped[fd] = 1;
      return;
    }
    bytes += sent;
    n -= (size_t)sent;
  }
}

static int base36(unsigned char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 10 : c >= '0' && c <= '9' ? c - '0' : 0; }

static void in_room(int fd, const unsigned char *key, const unsigned char *p, size_t n) {
  if (n < 5) return;
  int room = base36(p[3] ^ key[3]) * 36 + base36(p[4] ^ key[0]);
  put(fd, acks, ack_size);
  if ((p[0] ^ key[0]) == 'j') {
    if (member_count[room] < ROOM_SIZE) members[room][member_count[room]++] = fd;
    return;
  }
  for (int i = 0; i < member_count[room]; i++)
    if (!dropped[members[room][i]]) put(members[room][i], events, event_size);
}

/* Commands are a few hundred bytes, and are whole on loopback except at the end of a full buffer. The server waits for the rest. */
static void serve(int fd, int epoll_fd) {
  ssize_t n = recv(fd, input, sizeof input, 0);
  if (n <= 0) {
    if (n < 0 && errno == EAGAIN) return;
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    close(fd);
    open_for_frames[fd] = 0;
    return;
  }
  if (!open_for_frames[fd]) {
    static const char upgrade[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    if (!memmem(input, (size_t)n, "\r\n\r\n", 4)) return;
    put(fd, upgrade, sizeof upgrade - 1);
    open_for_frames[fd] = 1;
    dropped[fd] = 0;
    return;
  }
  size_t have = (size_t)n, at = 0, commands = 0;
  while (at < have) {
    size_t head = 6, length;
    while (have - at < 4) {
      ssize_t more = recv(fd, input + have, sizeof input - have, 0);
      if (more > 0) have += (size_t)more;
      else if (more == 0 || errno != EAGAIN) return;
    }
    length = (unsigned char)input[at + 1] & 127;
    if (length == 126) {
      length = (size_t)(unsigned char)input[at + 2] << 8 | (unsigned char)input[at + 3];
      head = 8;
    }
    while (have < at + head + length) {
      if (have == sizeof input) {
        memmove(input, input + at, have - at);
        have -= at;
        at = 0;
      }
      ssize_t more = recv(fd, input + have, sizeof input - have, 0);
      if (more > 0) have += (size_t)more;
      else if (more == 0 || errno != EAGAIN) return;
    }
    const unsigned char *payload = (unsigned char *)input + at + head;
    if (rooms) in_room(fd, payload - 4, payload, length);
    else commands++;
    at += head + length;
  }
  for (size_t left = commands; left > 0;) {
    size_t some = left > 64 ? 64 : left;
    put(fd, acks, some * ack_size);
    for (int to = 0; fanout && to <= top_fd; to++)
      if (open_for_frames[to] && to != fd && !dropped[to]) put(to, events, some * event_size);
    left -= some;
  }
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  fanout = !strcmp(argv[2], "fanout");
  rooms = !strcmp(argv[2], "rooms");
  size_t size = (size_t)atoi(argv[3]);
  if (size < 40 || size > 60000) return 2;
  events = malloc(64 * (size + 4));
  event_size = frame(events, "42[\"signal\",", size);
  ack_size = frame(acks, "43[{\"ok\":true}]", 15);
  for (int i = 1; i < 64; i++) {
    memcpy(events + (size_t)i * event_size, events, event_size);
    memcpy(acks + (size_t)i * ack_size, acks, ack_size);
  }
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll_fd = epoll_create1(0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) {
    perror("listen");
    return 2;
  }
  struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener}, ready[512];
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &ev);
  ev.data.fd = 0;
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &ev);
  printf("listening\n");
  fflush(stdout);
  for (;;) {
    int n = epoll_wait(epoll_fd, ready, 512, -1);
    for (int i = 0; i < n; i++) {
      int fd = ready[i].data.fd;
      if (fd == 0) return 0; /* stdin closes when the driver ends */
      if (fd != listener) {
        serve(fd, epoll_fd);
        continue;
      }
      int got = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
      if (got < 0 || got >= MAX_FD) continue;
      setsockopt(got, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      if (got > top_fd) top_fd = got;
      open_for_frames[got] = 0;
      ev.data.fd = got;
      epoll_ctl(epoll_fd, EPOLL_CTL_ADD, got, &ev);
    }
  }
}
