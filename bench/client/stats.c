/* The measurements of a load: a log-linear histogram of latencies, counters and CPU seconds between two moments. */
#define _GNU_SOURCE
#include "load.h"
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* 128 steps an octave: 0.8 % off at most. Values in units of 1 µs. */
#define STEPS 128
#define OCTAVES 26
struct histogram {
  uint64_t slots[STEPS * OCTAVES];
  uint64_t count, max;
} acked, delivered;
char first_error[256];

struct moment {
  uint64_t at;
  struct counters counters;
  double client_cpu, server_cpu, machine_busy;
};
static struct moment opened, closed;

uint64_t clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

void histogram_reset(struct histogram *h) { memset(h, 0, sizeof *h); }

static int slot_of(uint64_t us) {
  if (us < STEPS) return (int)us;
  int octave = 63 - __builtin_clzll(us) - 6; /* us in [64·2^octave, 128·2^octave) */
  int slot = (octave + 1) * (STEPS / 2) + (int)(us >> octave) - STEPS / 2;
  return slot < STEPS * OCTAVES ? slot : STEPS * OCTAVES - 1;
}

static double value_of(int slot) {
  if (slot < STEPS) return slot;
  int octave = slot / (STEPS / 2) - 1;
  return (double)((uint64_t)(slot % (STEPS / 2) + STEPS / 2) << octave);
}

void histogram_add(struct histogram *h, uint64_t ns) {
  h->slots[slot_of(ns / 1000)]++;
  h->count++;
  if (ns > h->max) h->max = ns;
}

static double percentile_ms(const struct histogram *h, double part) {
  uint64_t rank = (uint64_t)((double)h->count * part), seen = 0;
  for (int i = 0; i < STEPS * OCTAVES; i++) {
    seen += h->slots[i];
    if (seen > rank) return value_of(i) / 1000;
  }
  return (double)h->max / 1e6;
}

static void print_histogram(const char *name, const struct histogram *h) {
  printf("\"%s\":{\"count\":%llu,\"p50\":%.3f,\"p95\":%.3f,\"p99\":%.3f,\"max\":%.3f},", name,
         (unsigned long long)h->count, percentile_ms(h, 0.5), percentile_ms(h, 0.95), percentile_ms(h, 0.99),
         (double)h->max / 1e6);
}

static double cpu_of(int pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *f = fopen(path, "r");
  if (!f) return 0;
  size_t n = fread(text, 1, sizeof text - 1, f);
  fclose(f);
  text[n] = 0;
  unsigned long user = 0, system = 0;
  const char *after = strrchr(text, ')');
  if (after) sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
  return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double server_cpu(void) {
  double sum = 0;
  for (int i = 0; i < opt.server_pid_count; i++) sum += cpu_of(opt.server_pids[i]);
  return sum;
}

/* CPU seconds of the whole machine. The part beyond the server and the client is noise of other processes. */
static double machine_busy(void) {
  unsigned long long v[8] = {0};
  FILE *f = fopen("/proc/stat", "r");
  if (!f) return 0;
  int got = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7);
  fclose(f);
  if (got < 7) return 0;
  return (double)(v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / (double)sysconf(_SC_CLK_TCK);
}

static struct moment look(void) {
  struct rusage own;
  getrusage(RUSAGE_SELF, &own);
  struct moment m = {.at = clock_ns(), .counters = total, .server_cpu = server_cpu(), .machine_busy = machine_busy()};
  m.client_cpu = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
                 (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
  return m;
}

void stats_window_open(void) { opened = look(); }
void stats_window_close(void) { closed = look(); }

static void print_text(const char *name, const char *text) {
  printf(",\"%s\":\"", name);
  for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
    if (*p == '"' || *p == '\\') printf("\\%c", *p);
    else if (*p >= 32 && *p < 127) putchar(*p);
    else putchar('?');
  }
  putchar('"');
}

void stats_print_cpu(void) {
  printf("\"clientCpu\":%.4f,\"serverCpu\":%.4f,\"machineCpu\":%.4f", closed.client_cpu - opened.client_cpu,
         closed.server_cpu - opened.server_cpu, closed.machine_busy - opened.machine_busy);
}

void stats_print(void) {
  double seconds = (double)(closed.at - opened.at) / 1e9;
  struct counters a = opened.counters, b = closed.counters;
  printf("{\"event\":\"result\",\"seconds\":%.4f,\"sent\":%llu,\"acks\":%llu,\"errors\":%llu,\"deliveries\":%llu,", seconds,
         (unsigned long long)(b.sent - a.sent), (unsigned long long)(b.acks - a.acks),
         (unsigned long long)(b.errors - a.errors), (unsigned long long)(b.deliveries - a.deliveries));
  printf("\"frames\":%llu,\"bytes\":%llu,\"reads\":%llu,\"writes\":%llu,\"late\":%llu,\"lost\":%u,",
         (unsigned long long)(b.frames - a.frames), (unsigned long long)(b.bytes - a.bytes),
         (unsigned long long)(b.reads - a.reads), (unsigned long long)(b.writes - a.writes),
         (unsigned long long)(b.late - a.late), lost_count);
  printf("\"undelivered\":%llu,", (unsigned long long)load_undelivered());
  print_histogram("latencyMs", &acked);
  print_histogram("deliveryMs", &delivered);
  stats_print_cpu();
  print_text("firstError", first_error);
  print_text("firstFailure", first_failure);
  printf("}\n");
  fflush(stdout);
}
