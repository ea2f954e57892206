/* Options, the epoll loop, and the driver's orders on stdin: "command TEXT", "load name=value ...", "quit". */
#define _GNU_SOURCE
#include "load.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct options opt = {
    .host = "127.0.0.1", .path = "/", .dialect = D_RAW, .handshakes = 100, .up_prefix = "40", .count_prefix = "42"};
struct load load;
struct counters total;
struct conn *conns;
uint32_t up_count, dead_count, lost_count, pending_count;
uint64_t retry_at, now_ns;
int epoll_fd;

static char orders[16384];
static size_t orders_length;
static int window; /* of the running load: 0 before the measured time, 1 inside, 2 past it; 3 no load */

/* All connections have to be up by then. */
#define CONNECT_NS 90000000000ull

static const char *failure_so_far(void) {
  static char copy[sizeof first_failure];
  return strcpy(copy, first_failure);
}

static char **read_lines(const char *path) {
  FILE *f = fopen(path, "r");
  if (!f) {
    perror(path);
    exit(2);
  }
  char **lines = calloc(opt.connections, sizeof *lines);
  char *line = NULL;
  size_t cap = 0;
  for (uint32_t i = 0; i < opt.connections; i++) {
    ssize_t n = getline(&line, &cap, f);
    if (n < 0) {
      fprintf(stderr, "%s has fewer lines than there are connections\n", path);
      exit(2);
    }
    if (n > 0 && line[n - 1] == '\n') line[n - 1] = 0;
    lines[i] = strdup(line);
  }
  free(line);
  fclose(f);
  return lines;
}

/* "1,2,3" */
static int read_numbers(int *to, const char *text) {
  int count = 0;
  for (const char *p = text; *p && count < MAX_SERVERS; p++) {
    to[count++] = atoi(p);
    p += strcspn(p, ",");
    if (!*p) break;
  }
  return count;
}

static enum dialect dialect_named(const char *name) {
  static const char *const names[] = {"sio", "raw", "nchan", "nats"};
  for (int i = 0; i < 4; i++)
    if (!strcmp(name, names[i])) return (enum dialect)i;
  fprintf(stderr, "unknown dialect %s\n", name);
  exit(2);
}

static void read_options(int argc, char **argv) {
  const char *tokens = NULL, *setups = NULL, *rooms = NULL, *paths = NULL;
  for (int i = 1; i + 1 < argc; i += 2) {
    const char *name = argv[i], *value = argv[i + 1];
    if (!strcmp(name, "--host")) opt.host = value;
    else if (!strcmp(name, "--port")) opt.port_count = read_numbers(opt.ports, value);
    else if (!strcmp(name, "--path")) opt.path = value;
    else if (!strcmp(name, "--dialect")) opt.dialect = dialect_named(value);
    else if (!strcmp(name, "--publishers")) opt.publishers = (uint32_t)atoi(value);
    else if (!strcmp(name, "--paths")) paths = value;
    else if (!strcmp(name, "--connections")) opt.connections = (uint32_t)atoi(value);
    else if (!strcmp(name, "--handshakes")) opt.handshakes = (uint32_t)atoi(value);
    else if (!strcmp(name, "--up-prefix")) opt.up_prefix = value;
    else if (!strcmp(name, "--count-prefix")) opt.count_prefix = value;
    else if (!strcmp(name, "--tokens")) tokens = value;
    else if (!strcmp(name, "--setups")) setups = value;
    else if (!strcmp(name, "--rooms")) rooms = value;
    else if (!strcmp(name, "--server-pid")) opt.server_pid_count = read_numbers(opt.server_pids, value);
    else {
      fprintf(stderr, "unknown option %s\n", name);
      exit(2);
    }
  }
  if (opt.port_count == 0 || opt.ports[0] <= 0 || opt.connections == 0 || opt.connections > 19000) {
    fprintf(stderr, "--port and --connections (1 to 19000) are needed\n");
    exit(2);
  }
  if (tokens) opt.tokens = read_lines(tokens);
  if (setups) opt.setups = read_lines(setups);
  if (rooms) opt.rooms = read_lines(rooms);
  if (paths) opt.paths = read_lines(paths);
}

static void connect_more(void) {
  static uint32_t at;
  if (up_count + dead_count + lost_count + pending_count >= opt.connections || now_ns < retry_at) return;
  for (uint32_t looked = 0; looked < opt.connections && pending_count < opt.handshakes; looked++) {
    struct conn *c = &conns[at];
    at = (at + 1) % opt.connections;
    if (c->state == S_FREE) conn_open(c);
    if (now_ns < retry_at) return;
  }
}

static void start_load(char *line) {
  double warmup = 0.5, seconds = 2;
  load = (struct load){.senders = 1, .outstanding = 1};
  for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
    char *value = strchr(word, '=');
    if (!value) continue;
    *value++ = 0;
    if (!strcmp(word, "senders")) load.senders = (uint32_t)atoi(value);
    else if (!strcmp(word, "outstanding")) load.outstanding = (uint32_t)atoi(value);
    else if (!strcmp(word, "rate")) load.rate = atof(value);
    else if (!strcmp(word, "receivers")) load.receivers = (uint32_t)atoi(value);
    else if (!strcmp(word, "warmup")) warmup = atof(value);
    else if (!strcmp(word, "seconds")) seconds = atof(value);
  }
  if (load.senders > opt.connections || load.outstanding > RING / 2 || seconds > 600) {
    fprintf(stderr, "load out of bounds\n");
    exit(2);
  }
  window = 0;
  load_begin(warmup, seconds);
}

static void on_stdin(void) {
  ssize_t n = read(0, orders + orders_length, sizeof orders - 1 - orders_length);
  if (n == 0) exit(0); /* the driver has ended */
  if (n < 0) return;
  orders_length += (size_t)n;
  orders[orders_length] = 0;
  char *line = orders, *end;
  while ((end = strchr(line, '\n'))) {
    *end = 0;
    if (!strncmp(line, "command ", 8)) template_set(line + 8);
    else if (!strncmp(line, "load", 4)) start_load(line);
    else if (!strcmp(line, "quit")) exit(0);
    line = end + 1;
  }
  orders_length = strlen(line);
  memmove(orders, line, orders_length + 1);
  if (orders_length == sizeof orders - 1) exit(2);
}

static void follow_load(void) {
  if (window == 0 && now_ns >= load.measure_from) {
    stats_window_open();
    window = 1;
  }
  if (window == 1 && now_ns >= load.measure_to) {
    stats_window_close();
    window = 2;
  }
  load_pump();
  if (window == 2 && load_done()) {
    stats_print();
    window = 3;
  }
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  signal(SIGPIPE, SIG_IGN);
  conns = calloc(opt.connections, sizeof *conns);
  for (uint32_t i = 0; i < opt.connections; i++) conns[i].index = i;
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL}, ready[512];
  fcntl(0, F_SETFL, O_NONBLOCK);
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &ev);
  uint64_t began = clock_ns();
  stats_window_open();
  int told = 0;
  window = 3;
  for (;;) {
    now_ns = clock_ns();
    connect_more();
    if (!told && now_ns - began > CONNECT_NS) {
      int waiting[S_DEAD + 1] = {0};
      for (uint32_t i = 0; i < opt.connections; i++) waiting[conns[i].state]++;
      snprintf(first_failure, sizeof first_failure, "waiting: %d for TCP, %d 101, %d open, %d CONNECT, %d joins; %.100s",
               waiting[S_TCP], waiting[S_HTTP], waiting[S_OPEN], waiting[S_AUTH], waiting[S_SETUP], failure_so_far());
    }
    if (!told && (up_count + dead_count + lost_count == opt.connections || now_ns - began > CONNECT_NS)) {
      told = 1;
      stats_window_close();
      printf("{\"event\":\"up\",\"up\":%u,\"dead\":%u,\"seconds\":%.4f,", up_count, dead_count,
             (double)(now_ns - began) / 1e9);
      stats_print_cpu();
      printf(",\"firstFailure\":\"");
      for (char *p = first_failure; *p; p++) putchar(*p >= 32 && *p < 127 && *p != '"' && *p != '\\' ? *p : '\'');
      printf("\"}\n");
      fflush(stdout);
    }
    if (window != 3) follow_load();
    /* The open loop may be a quarter of a millisecond late. Otherwise only the ends of the window need a clock. */
    struct timespec wait = {0, load.running && load.rate > 0 ? 250000 : window != 3 || !told ? 5000000 : 500000000};
    int n = epoll_pwait2(epoll_fd, ready, 512, &wait, NULL);
    if (n < 0 && errno != EINTR) {
      perror("epoll_pwait2");
      return 2;
    }
    for (int i = 0; i < n; i++) {
      if (ready[i].data.ptr == NULL) {
        on_stdin();
        continue;
      }
      now_ns = clock_ns();
      conn_event(ready[i].data.ptr, ready[i].events);
    }
  }
}
