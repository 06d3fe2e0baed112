/* Threads that submit, cancel, reap, check, shut down and free at random, through the C API. Each accepted check must
 * yield exactly one result, and a true one.
 *
 *     storm SEED ROUNDS LIVE_PORT DEAD_PORT SILENT_PORT
 *
 * All of 127.0.0.0/8 must listen, refuse and be silent on these ports. Exits 0 and says so if nothing was lost. */

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tcpshaker.h"

#define THREADS 4
#define STEPS 60
#define TAGS 8192 /* a power of two */
#define BATCH 32

#define require(condition, ...)                                   \
    do {                                                          \
        if (!(condition)) {                                       \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);       \
            fprintf(stderr, __VA_ARGS__);                         \
            fprintf(stderr, " (round seed %llu)\n", round_seed);  \
            exit(1);                                              \
        }                                                         \
    } while (0)

enum kind { LIVE, DEAD, SILENT, MALFORMED };

static in_port_t ports[3];
static unsigned long long round_seed;

/* One round's books: for each tag, whether it was accepted, and how many results came. */
static shaker_checker *checker;
static bool may_close;
static atomic_uint next_tag;
static atomic_uchar accepted[TAGS], results[TAGS];
static atomic_uint calls_to_come;
static _Atomic uint64_t latest_id;

static uint64_t throw_dice(uint64_t *state) {
  *state ^= *state >> 12; /* xorshift64* */
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return (*state * 0x2545f4914f6cdd1dULL) >> 16;
}

static unsigned below(uint64_t *dice, unsigned bound) {
  return (unsigned)(throw_dice(dice) % bound);
}

static enum kind kind_of(unsigned tag) {
  unsigned part = tag % 16;
  return part < 8 ? LIVE : part < 12 ? DEAD : part < 15 ? SILENT : MALFORMED;
}

/* The truth about the target or about the check, never a falsehood about the target. */
static void judge(const shaker_result *result) {
  enum kind kind = kind_of((unsigned)(uintptr_t)result->user_data);
  bool fits = false;
  switch (result->status) {
  case SHAKER_OK: fits = kind == LIVE; break;
  case SHAKER_REFUSED: fits = kind == DEAD; break;
  case SHAKER_TIMEOUT: fits = kind == SILENT; break;
  case SHAKER_ERR_ADDRESS: fits = kind == MALFORMED; break;
  case SHAKER_ERR_BUSY:
  case SHAKER_ERR_CANCELLED: fits = true; break;
  case SHAKER_ERR_CLOSED: fits = may_close; break;
  default: break;
  }
  char text[200];
  shaker_result_str(result, text, sizeof text);
  require(fits, "a target of kind %d is found: %s", (int)kind, text);
}

static void enter(const shaker_result *result) {
  judge(result);
  uintptr_t tag = (uintptr_t)result->user_data;
  require(tag < TAGS && result->id != 0, "a result of nobody's: tag %zu", (size_t)tag);
  require(atomic_fetch_add(&results[tag], 1) == 0, "tag %zu has a second result", (size_t)tag);
}

static void reap_some(uint64_t *dice) {
  shaker_result reaped[64];
  size_t capacity = below(dice, 65);
  size_t count = shaker_reap(checker, reaped, capacity, below(dice, 3));
  require(count <= capacity, "%zu results in room for %zu", count, capacity);
  for (size_t i = 0; i < count; i++) enter(&reaped[i]);
}

static void cancel_one(uint64_t *dice) {
  uint64_t latest = atomic_load(&latest_id);
  uint64_t id = below(dice, 2) ? latest : 1 + throw_dice(dice) % (latest + 100);
  shaker_status status = shaker_cancel(checker, id);
  require(status == SHAKER_OK || (may_close && status == SHAKER_ERR_CLOSED), "cancel: %d", (int)status);
}

static void submit_some(uint64_t *dice, unsigned count, bool from_callback);

static void called_back(const shaker_result *result, void *user_data) {
  require(result->user_data == user_data, "the callback's user_data is not the result's");
  enter(result);
  uint64_t dice = result->id * 0x9e3779b97f4a7c15ULL | 1;
  shaker_result deadlocked;
  switch (below(&dice, 8)) {
  case 0: submit_some(&dice, 1 + below(&dice, 4), true); break;
  case 1: cancel_one(&dice); break;
  case 2: reap_some(&dice); break;
  case 3:
    require(shaker_check_addr(checker, "127.0.0.1:1", 0, &deadlocked) == SHAKER_ERR_DEADLOCK, "a callback blocks");
    break;
  case 4: require(shaker_checker_free(checker) == SHAKER_ERR_DEADLOCK, "freed from a callback"); break;
  default: break;
  }
  atomic_fetch_sub(&calls_to_come, 1);
}

/* Makes requests with tags that nobody has had, or as many as are left. Their texts and addresses go out of use as soon
 * as the call that takes them returns. */
struct batch {
  unsigned first, count;
  shaker_request requests[BATCH];
  struct sockaddr_in sockaddrs[BATCH];
  char texts[BATCH][32];
};

static void fill(struct batch *batch, unsigned first, unsigned count, uint64_t *dice) {
  memset(batch, 0, sizeof *batch);
  batch->first = first;
  batch->count = count;
  for (unsigned i = 0; i < count; i++) {
    shaker_request *request = &batch->requests[i];
    unsigned tag = first + i;
    enum kind kind = kind_of(tag);
    request->user_data = (void *)(uintptr_t)tag;
    request->timeout_ms = 1 + below(dice, 50);
    if (kind == MALFORMED) {
      request->addr = "nowhere";
    } else if (below(dice, 2)) {
      snprintf(batch->texts[i], sizeof batch->texts[i], "127.1.%u.%u:%u", tag >> 8 & 255, tag & 255, ports[kind]);
      request->addr = batch->texts[i];
    } else {
      struct sockaddr_in *address = &batch->sockaddrs[i];
      address->sin_family = AF_INET;
      address->sin_addr.s_addr = htonl(0x7f010000 + tag);
      address->sin_port = htons(ports[kind]);
      request->sockaddr = (struct sockaddr *)address;
      request->sockaddr_len = sizeof *address;
    }
  }
}

static void submit_some(uint64_t *dice, unsigned count, bool from_callback) {
  unsigned first = atomic_fetch_add(&next_tag, count), calls = 0;
  if (first + count > TAGS) return;
  struct batch *batch = malloc(sizeof *batch);
  uint64_t ids[BATCH];
  fill(batch, first, count, dice);
  for (unsigned i = 0; i < count && !from_callback; i++) {
    if (below(dice, 3) == 0) batch->requests[i].callback = called_back, calls++;
  }
  atomic_fetch_add(&calls_to_come, calls);
  bool wants_ids = below(dice, 4) != 0;
  shaker_status status = shaker_submit(checker, batch->requests, count, wants_ids ? ids : NULL);
  free(batch);
  if (status == SHAKER_OK) {
    for (unsigned i = 0; i < count; i++) atomic_fetch_add(&accepted[first + i], 1);
    if (wants_ids) atomic_store(&latest_id, ids[below(dice, count)]);
  } else {
    require(may_close && status == SHAKER_ERR_CLOSED, "submit: %d", (int)status);
    atomic_fetch_sub(&calls_to_come, calls);
  }
}

static void check_some(uint64_t *dice) {
  struct batch *batch = malloc(sizeof *batch);
  shaker_result checked[BATCH];
  unsigned count = 1 + below(dice, BATCH), first = below(dice, TAGS - BATCH);
  fill(batch, first, count, dice);
  shaker_status status = SHAKER_OK;
  if (below(dice, 2)) {
    status = shaker_check_many(checker, batch->requests, count, checked);
    for (unsigned i = 0; i < count && status == SHAKER_OK; i++) {
      require(checked[i].status != SHAKER_ERR_BUSY, "a check of a list is busy");
    }
  } else {
    count = 1;
    require(shaker_check(checker, batch->requests, checked) == checked[0].status, "two verdicts");
  }
  if (status != SHAKER_OK) {
    require(may_close && status == SHAKER_ERR_CLOSED, "check_many: %d", (int)status);
  } else {
    for (unsigned i = 0; i < count; i++) {
      require(checked[i].user_data == (void *)(uintptr_t)(first + i), "out of order");
      require(checked[i].id == 0, "a blocking check with an id");
      judge(&checked[i]);
    }
  }
  free(batch);
}

struct stormer {
  pthread_t thread;
  uint64_t dice;
  unsigned shutdown_at;
};

static void *storm(void *argument) {
  struct stormer *self = argument;
  for (unsigned step = 0; step < STEPS; step++) {
    if (step == self->shutdown_at) shaker_checker_shutdown(checker);
    shaker_stats stats;
    switch (below(&self->dice, 10)) {
    case 0:
    case 1:
    case 2: submit_some(&self->dice, 1 + below(&self->dice, BATCH), false); break;
    case 3: check_some(&self->dice); break;
    case 4: cancel_one(&self->dice); break;
    case 5:
      require(shaker_checker_stats(checker, &stats, sizeof stats) == SHAKER_OK, "no statistics");
      if (below(&self->dice, 8) == 0) shaker_cancel(checker, 0);
      break;
    default: reap_some(&self->dice); break;
    }
  }
  return NULL;
}

static shaker_checker *new_checker(uint64_t *dice) {
  shaker_config *config = shaker_config_new();
  shaker_checker *made;
  require(config != NULL, "no configuration");
  const char *driven = getenv("TCPSHAKER_DRIVEN");
  require(shaker_config_set_caller_driven(config, driven != NULL && *driven != '\0') == SHAKER_OK, "caller-driven");
  const char *engine = getenv("TCPSHAKER_ENGINE");
  if (engine != NULL && strcmp(engine, "raw") == 0) {
    require(shaker_config_set_engine(config, SHAKER_ENGINE_RAW) == SHAKER_OK, "raw");
  }
  require(shaker_config_set_threads(config, 1 + below(dice, 3)) == SHAKER_OK, "threads");
  require(shaker_config_set_max_in_flight(config, below(dice, 2) ? 3 : 500) == SHAKER_OK, "max_in_flight");
  require(shaker_config_set_syn_interval(config, below(dice, 2) ? 300 : 5) == SHAKER_OK, "syn_interval");
  require(shaker_checker_new(config, &made) == SHAKER_OK, "no checker");
  shaker_config_free(config);
  return made;
}

/* Returns how many checks were accepted, each with its result. */
static unsigned play_round(uint64_t *dice) {
  struct stormer stormers[THREADS];
  bool shuts_down = below(dice, 3) == 0, frees_unreaped = below(dice, 3) == 0;
  may_close = shuts_down || frees_unreaped;
  atomic_store(&next_tag, 0);
  atomic_store(&latest_id, 1);
  memset((void *)accepted, 0, sizeof accepted);
  memset((void *)results, 0, sizeof results);
  checker = new_checker(dice);
  int fd = below(dice, 2) ? shaker_checker_fd(checker) : 0;
  require(fd >= 0, "no descriptor");

  for (unsigned i = 0; i < THREADS; i++) {
    stormers[i].dice = throw_dice(dice) | 1;
    stormers[i].shutdown_at = i == 0 && shuts_down ? below(dice, STEPS) : STEPS;
    require(pthread_create(&stormers[i].thread, NULL, storm, &stormers[i]) == 0, "no thread");
  }
  for (unsigned i = 0; i < THREADS; i++) pthread_join(stormers[i].thread, NULL);

  shaker_result reaped[100];
  unsigned asked = 0, answered = 0;
  time_t deadline = time(NULL) + 120;
  while (!frees_unreaped) {
    size_t count = shaker_reap(checker, reaped, 100, shuts_down ? UINT32_MAX : 5);
    for (size_t i = 0; i < count; i++) enter(&reaped[i]);
    asked = answered = 0;
    for (unsigned tag = 0; tag < TAGS; tag++) asked += accepted[tag], answered += results[tag];
    if (count == 0 && (shuts_down || (asked == answered && atomic_load(&calls_to_come) == 0))) break;
    require(time(NULL) < deadline, "%u of %u results, and no more come", answered, asked);
  }
  require(shaker_checker_free(checker) == SHAKER_OK, "not freed");
  require(atomic_load(&calls_to_come) == 0, "%u callbacks never came", atomic_load(&calls_to_come));
  asked = 0;
  for (unsigned tag = 0; tag < TAGS; tag++) {
    bool balanced = frees_unreaped ? results[tag] <= accepted[tag] : results[tag] == accepted[tag];
    require(balanced, "tag %u: accepted %u, results %u", tag, accepted[tag], results[tag]);
    asked += accepted[tag];
  }
  return asked;
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fputs("usage: storm SEED ROUNDS LIVE_PORT DEAD_PORT SILENT_PORT\n", stderr);
    return 2;
  }
  unsigned long long seed = strtoull(argv[1], NULL, 10), checks = 0;
  unsigned rounds = (unsigned)strtoul(argv[2], NULL, 10);
  for (int i = 0; i < 3; i++) ports[i] = (in_port_t)strtoul(argv[3 + i], NULL, 10);
  for (unsigned round = 0; round < rounds; round++) {
    round_seed = seed + round;
    uint64_t dice = (round_seed + 1) * 0x9e3779b97f4a7c15ULL | 1;
    checks += play_round(&dice);
  }
  printf("%u rounds: %llu checks, none lost, none doubled\n", rounds, checks);
  return 0;
}
