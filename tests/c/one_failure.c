/* One allocation of 4 KiB or more fails, once, and no other one: each in a child of its own, from before the checker is
 * made until after it is freed.
 *
 *     one_failure socket|raw|driven|raw-driven|names [figures]
 *
 * A status or a local fault tells of it, or nothing has to. No child ends otherwise, each accepted check has its one
 * result, and that is true.
 *
 * By default each place of the library that asks for so much fails once: a place is what leads to it. With
 * MEMORY_SWEEP=N in the environment it is each N-th allocation instead. */
#include "failing_malloc.h"
#include "process.h"
#include "target.h"

#include <execinfo.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { CHECKS = 3000, LISTED = 1200, OF_ONE = 2500, LOOPS = 256, WATCHES = 1500, MONITORS = 270, PLACES = 4096 };
enum { TIMEOUT_MS = 50, LONG_MS = 600, KINDS = 4, FRAMES = 18, LONG = 9000, AT_ONCE = 8, IN_FLIGHT = 2000 };

static const char *kind;
static struct target up, down, mute;
static shaker_request requests[CHECKS];
static struct sockaddr_in addresses[CHECKS];
static shaker_result results[CHECKS];
static uint64_t ids[CHECKS];
static char names[CHECKS][40];
static atomic_int called;

/* Of all children: the places that were seen, and how many allocations the latest child asked for. */
static struct {
  atomic_int count, asked;
  _Atomic uint64_t places[PLACES];
} *seen;
static uint64_t failing_place;
static int failing_number;
static atomic_int has_failed;

static uint64_t this_place(void) {
  void *frames[FRAMES];
  uint64_t hash = 14695981039346656037u;
  for (int i = 3, count = backtrace(frames, FRAMES); i < count; i++) {
    hash = (hash ^ (uint64_t)(uintptr_t)frames[i]) * 1099511628211u;
  }
  return hash;
}

static int is_to_fail(int number) {
  if (failing_number > 0) return number == failing_number;
  uint64_t here = this_place();
  int known = 0;
  for (int i = 0; i < seen->count && !known; i++) known = seen->places[i] == here;
  if (!known && seen->count < PLACES) seen->places[seen->count++] = here; /* twice, if two threads are there at once */
  return here == failing_place && !atomic_exchange(&has_failed, 1);
}

static int is_kind(const char *part) {
  return strstr(kind, part) != NULL;
}

static int is_or_local(int status) {
  if (status != SHAKER_OK) EXPECT_EQ(status, SHAKER_ERR_LOCAL);
  return status == SHAKER_OK;
}

/* Nobody answers at this port, whatever the address: the queue of established connections is full. */
static struct target silent_everywhere(void) {
  struct target target = {.length = sizeof target.address.in};
  target.address.in.sin_family = AF_INET;
  target.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  NEED(target.fd >= 0 && bind(target.fd, &target.address.sa, target.length) == 0 && listen(target.fd, 0) == 0);
  NEED(getsockname(target.fd, &target.address.sa, &target.length) == 0);
  target.filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  target.address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  NEED(target.filler >= 0 && connect(target.filler, &target.address.sa, target.length) == 0);
  UNTIL(queue_is_full(target.fd));
  return target;
}

/* Who has no memory for it makes it once more: only one fails. */
static shaker_checker *make(uint32_t threads, uint32_t in_flight) {
  shaker_checker *checker = NULL;
  shaker_config *config = shaker_config_new();
  NEED(shaker_config_set_caller_driven(config, is_kind("driven")) == SHAKER_OK);
  NEED(!is_kind("raw") || shaker_config_set_engine(config, SHAKER_ENGINE_RAW) == SHAKER_OK);
  NEED(shaker_config_set_threads(config, threads) == SHAKER_OK);
  NEED(shaker_config_set_max_in_flight(config, in_flight) == SHAKER_OK);
  NEED(shaker_config_set_syn_interval(config, 20) == SHAKER_OK);
  if (!is_or_local(shaker_checker_new(config, &checker))) NEED(shaker_checker_new(config, &checker) == SHAKER_OK);
  shaker_config_free(config);
  return checker;
}

/* What may come of a check of the first, the second and the others of each four. */
static int is_right(const shaker_result *result, size_t index) {
  int status = result->status, which = (int)(index % KINDS);
  if (status == SHAKER_ERR_LOCAL) return result->os_error == ENOMEM;
  if (status == SHAKER_ERR_CANCELLED || status == SHAKER_ERR_BUSY) return 1;
  return status == (which == 0 ? SHAKER_OK : which == 1 ? SHAKER_REFUSED : SHAKER_TIMEOUT);
}

static void note(const shaker_result *result, void *user_data) {
  EXPECT(is_right(result, (size_t)user_data));
  called++;
}

/* A live one, one that refuses and two silent ones, each at addresses of its own but for the live one. */
static void ask_all(size_t count) {
  for (size_t i = 0; i < count; i++) {
    const struct target *target = i % KINDS == 0 ? &up : i % KINDS == 1 ? &down : &mute;
    addresses[i] = target->address.in;
    if (target != &up) addresses[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)i);
    requests[i] = (shaker_request){.sockaddr = (struct sockaddr *)&addresses[i], .sockaddr_len = sizeof addresses[i]};
    requests[i].timeout_ms = TIMEOUT_MS;
    requests[i].user_data = (void *)i;
  }
}

/* Has the requests made, some of them cancelled, and judges what comes of them. */
static void submit(shaker_checker *checker, size_t count, int cancels) {
  size_t callbacks = 0, left = 0;
  int before = called;
  for (size_t i = 0; i < count; i++) *(requests[i].callback != NULL ? &callbacks : &left) += 1;
  if (!is_or_local(shaker_submit(checker, requests, count, ids))) return;
  for (size_t i = 0; i < count && cancels; i += 7) is_or_local(shaker_cancel(checker, ids[i]));
  long long give_up = now_ms() + PATIENCE_MS;
  while ((left > 0 || called - before < (int)callbacks) && now_ms() < give_up) {
    size_t taken = shaker_reap(checker, results, CHECKS, left > 0 ? 1000 : 1);
    for (size_t i = 0; i < taken; i++) EXPECT(is_right(&results[i], (size_t)results[i].user_data));
    left -= taken;
  }
  EXPECT_EQ(left, 0);
  EXPECT_EQ(called - before, callbacks);
}

/* More than may be in flight, some cancelled while they wait, and many that end silent at once. */
static void checks(void) {
  shaker_checker *checker = make(1, IN_FLIGHT);
  ask_all(CHECKS);
  for (size_t i = 0; i < CHECKS; i += 5) requests[i].callback = note;
  submit(checker, CHECKS, 1);
  ask_all(LISTED);
  if (is_or_local(shaker_check_many(checker, requests, LISTED, results))) {
    for (size_t i = 0; i < LISTED; i++) EXPECT(is_right(&results[i], i));
  }
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* As many in flight as are submitted. All end silent at once, and their sockets lie idle. */
static void silent_ones(void) {
  if (is_kind("raw")) return;
  shaker_checker *checker = make(1, 2 * LISTED);
  ask_all(LISTED);
  for (size_t i = 0; i < LISTED; i++) {
    if (i % KINDS < 2) requests[i].user_data = (void *)(i + 2); /* judged as what they are now */
    addresses[i].sin_port = mute.address.in.sin_port;
    requests[i].timeout_ms = LONG_MS;
  }
  submit(checker, LISTED, 0);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* Many of one silent target: more than there are ports for on the raw engine. */
static void one_target(void) {
  if (!is_kind("raw")) return;
  shaker_checker *checker = make(1, 2 * OF_ONE);
  ask_all(OF_ONE);
  for (size_t i = 0; i < OF_ONE; i++) {
    if (i % KINDS < 2) requests[i].user_data = (void *)(i + 2); /* judged as what they are now */
    addresses[i] = mute.address.in;
    requests[i].timeout_ms = LONG_MS;
  }
  submit(checker, OF_ONE, 1);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* Off loopback, with marks: this host has these addresses. */
static void far_targets(void) {
  if (!is_kind("raw")) return;
  shaker_checker *checker = make(1, IN_FLIGHT);
  ask_all(LISTED);
  for (uint32_t i = 0; i < LISTED; i++) {
    addresses[i].sin_addr.s_addr = htonl(0x0afe0000 + i);
    addresses[i].sin_port = i % KINDS < 2 ? down.address.in.sin_port : mute.address.in.sin_port;
    requests[i].mark = i % 2 == 0 ? 0 : 1 + i;
    requests[i].user_data = (void *)(size_t)(i % KINDS < 2 ? 1 : 2);
  }
  submit(checker, LISTED, 0);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

static void blocking(void) {
  shaker_checker *checker = make(1, IN_FLIGHT);
  shaker_result result;
  ask_all(KINDS * 80);
  for (size_t i = 2; i < KINDS * 80; i += KINDS) {
    requests[i].timeout_ms = 1;
    int status = shaker_check(checker, &requests[i], &result);
    EXPECT(status == SHAKER_TIMEOUT || status == SHAKER_ERR_BUSY || status == SHAKER_ERR_LOCAL);
  }
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

static void loops(void) {
  if (strcmp(kind, "socket") != 0) return;
  shaker_checker *checker = make(LOOPS, IN_FLIGHT);
  ask_all(2 * LOOPS);
  submit(checker, 2 * LOOPS, 0);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

static void monitors(void) {
  static shaker_monitor *made[MONITORS];
  shaker_checker *checker = make(1, IN_FLIGHT);
  for (int i = 0; i < MONITORS; i++) {
    if (!is_or_local(shaker_monitor_new(checker, NULL, &made[i]))) continue;
    if (shaker_monitor_fd(made[i]) < 0) EXPECT(shaker_monitor_fd(made[i]) >= 0); /* only one fails */
  }
  for (int i = 0; i < MONITORS; i++) EXPECT_EQ(shaker_monitor_free(made[i]), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* Many watches, whose every result is told of. They are paused, reported on and removed meanwhile. */
static void watch(int has_names) {
  static shaker_watch watches[WATCHES];
  static shaker_change changes[WATCHES];
  shaker_checker *checker = make(1, IN_FLIGHT);
  shaker_monitor *monitor = NULL;
  shaker_monitor_config *config = shaker_monitor_config_new();
  NEED(shaker_monitor_config_set_max_spread(config, 20) == SHAKER_OK);
  NEED(shaker_monitor_config_set_every_result(config, 1) == SHAKER_OK);
  if (!is_or_local(shaker_monitor_new(checker, config, &monitor))) {
    NEED(shaker_monitor_new(checker, config, &monitor) == SHAKER_OK);
  }
  shaker_monitor_config_free(config);
  ask_all(WATCHES);
  for (uint32_t i = 0; i < WATCHES; i++) {
    watches[i] = (shaker_watch){.timeout_ms = TIMEOUT_MS, .interval_ms = 50 + i, .user_data = (void *)(size_t)i};
    if (has_names) {
      watches[i].addr = names[i];
    } else {
      watches[i].sockaddr = requests[i].sockaddr, watches[i].sockaddr_len = requests[i].sockaddr_len;
    }
  }
  if (!is_or_local(shaker_monitor_add(monitor, watches, WATCHES, ids))) {
    NEED(shaker_monitor_add(monitor, watches, WATCHES, ids) == SHAKER_OK);
  }
  for (long long until = now_ms() + 2 * TIMEOUT_MS; now_ms() < until;) {
    size_t reaped = shaker_monitor_reap(monitor, changes, WATCHES, 10);
    for (size_t i = 0; i < reaped && !has_names; i++) {
      if ((size_t)changes[i].user_data % KINDS == 0) EXPECT(changes[i].to != SHAKER_STATE_DOWN);
    }
  }
  for (size_t i = 0; i < WATCHES; i += 2) {
    is_or_local(shaker_monitor_report(monitor, ids[i], i % 4 == 0));
    EXPECT_EQ(shaker_monitor_pause(monitor, ids[i], true), SHAKER_OK);
    EXPECT_EQ(shaker_monitor_check_now(monitor, ids[i]), SHAKER_OK);
  }
  EXPECT_EQ(shaker_monitor_remove(monitor, ids, WATCHES / 2), SHAKER_OK);
  shaker_monitor_reap(monitor, changes, WATCHES, 10);
  EXPECT_EQ(shaker_monitor_remove(monitor, ids + WATCHES / 2, WATCHES - WATCHES / 2), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

static void watches_of_addresses(void) {
  watch(0);
}

static void watches_of_names(void) {
  watch(1);
}

static void texts(void) {
  static char text[LONG + 8], shown[LONG + 64];
  shaker_config *config = shaker_config_new();
  shaker_checker *checker = make(1, IN_FLIGHT);
  shaker_result result;
  memset(text, 'a', LONG);
  EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, &result), SHAKER_OK);
  size_t whole = shaker_result_describe(&result, text, NULL, 0);
  EXPECT(whole > LONG);
  EXPECT_EQ(shaker_result_describe(&result, text, shown, sizeof shown), whole);
  EXPECT_EQ(strlen(shown), whole);
  text[0] = '/';
  is_or_local(shaker_config_set_network_namespace(config, text));
  EXPECT_EQ(shaker_config_set_interface(config, text), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_source(config, text), SHAKER_ERR_INVALID);
  shaker_checker *none = NULL;
  if (shaker_checker_new(config, &none) == SHAKER_OK) shaker_checker_free(none); /* without the path it was refused */
  strcpy(text + LONG, ":80");
  int status = shaker_check_addr(checker, text, PATIENCE_MS, &result);
  EXPECT(status == SHAKER_ERR_ADDRESS || status == SHAKER_ERR_LOCAL);
  memset(text, 'a', LONG);
  memcpy(text, "127.0.0.1:", 10); /* and a long name of a service */
  status = shaker_check_addr(checker, text, PATIENCE_MS, &result);
  EXPECT(status == SHAKER_ERR_ADDRESS || status == SHAKER_ERR_RESOLVE || status == SHAKER_ERR_LOCAL);
  shaker_config_free(config);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* Names, one in two with many addresses. Those are of this host: see the test that runs this program. */
static void checks_of_names(void) {
  shaker_checker *checker = make(1, IN_FLIGHT);
  for (size_t i = 0; i < LISTED; i++) {
    requests[i] = (shaker_request){.addr = names[i], .timeout_ms = 400, .user_data = (void *)i};
  }
  if (is_or_local(shaker_submit(checker, requests, LISTED, ids))) {
    for (size_t i = 0; i < LISTED; i += 7) is_or_local(shaker_cancel(checker, ids[i]));
    long long give_up = now_ms() + PATIENCE_MS;
    size_t reaped = 0;
    while (reaped < LISTED && now_ms() < give_up) {
      size_t taken = shaker_reap(checker, results, CHECKS, 1000);
      for (size_t i = 0; i < taken; i++) {
        /* The C library wants memory for a lookup, too, and with so many some wait for their turn until the end. */
        int status = results[i].status;
        if (status == SHAKER_ERR_LOCAL) EXPECT_EQ(results[i].os_error, ENOMEM);
        EXPECT(status < 0 || ((size_t)results[i].user_data % 2 == 0 ? status == SHAKER_OK : status == SHAKER_TIMEOUT));
      }
      reaped += taken;
    }
    EXPECT_EQ(reaped, LISTED);
  }
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* A child in which one fails. */
struct child {
  pid_t pid;
  const char *scene;
  uint64_t place;
  int number;
};

static struct child running[AT_ONCE];
static int injected, ended;

/* Waits until another child may begin: so many run at once, as they wait for silent targets most of the time. */
static void wait_for_room(int most) {
  for (int children = AT_ONCE; children > most;) {
    int status;
    pid_t pid = children == 0 ? -1 : waitpid(-1, &status, WNOHANG);
    children = 0;
    for (struct child *child = running; child < running + AT_ONCE; child++) {
      if (child->pid == pid && pid > 0) {
        child->pid = 0;
        ended += WIFSIGNALED(status);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
          fprintf(stderr, "%s, %s: allocation %d or that of place %llx fails: ended with %x\n", kind, child->scene,
                  child->number, (unsigned long long)child->place, (unsigned)status);
          failures++;
        }
      }
      children += child->pid > 0;
    }
    if (children > most && pid <= 0) pause_ms(1);
  }
}

static void fail_one(const char *scene, void (*run)(void), uint64_t place, int number) {
  wait_for_room(AT_ONCE - 1);
  struct child *child = running;
  while (child->pid > 0) child++;
  *child = (struct child){.scene = scene, .place = place, .number = number};
  injected += place != 0 || number != 0;
  child->pid = fork_child();
  if (child->pid > 0) return;
  alarm(120);
  failures = 0; /* of the children before it */
  failing_place = place, failing_number = number;
  is_chosen = is_to_fail;
  counting = 1;
  run();
  counting = 0;
  if (place == 0 && number == 0) seen->asked = asked;
  _exit(outcome());
}

int main(int count, char **arguments) {
  static const struct {
    const char *name;
    void (*run)(void);
    int has_names;
  } scenes[] = {
    {"checks", checks, 0},
    {"silent", silent_ones, 0},
    {"one target", one_target, 0},
    {"far", far_targets, 0},
    {"blocking", blocking, 0},
    {"loops", loops, 0},
    {"monitors", monitors, 0},
    {"watches", watches_of_addresses, 0},
    {"texts", texts, 0},
    {"names", checks_of_names, 1},
    {"watches of names", watches_of_names, 1},
  };
  NEED(count >= 2);
  kind = arguments[1];
  least = 4096;
  struct rlimit limit;
  NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max < 20000 ? limit.rlim_max : 20000;
  NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  up = live(AF_INET);
  down = dead(AF_INET);
  mute = silent_everywhere();
  for (unsigned i = 0; i < CHECKS; i++) {
    const struct target *target = i % 2 == 0 ? &up : &mute;
    uint16_t port = ntohs(target->address.in.sin_port);
    if (i % 4 < 2) snprintf(names[i], sizeof names[i], "name-%u.test:%u", i, port);
    if (i % 4 >= 2) snprintf(names[i], sizeof names[i], "many.test:%u", port);
  }
  seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  NEED(seen != MAP_FAILED);
  this_place(); /* which needs memory the first time */
  const char *sweep = getenv("MEMORY_SWEEP");
  int place = 0;
  for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
    if (scenes[i].has_names != is_kind("names")) continue;
    int before = injected;
    fail_one(scenes[i].name, scenes[i].run, 0, 0);
    wait_for_room(0);
    int all = seen->asked;
    for (int number = 1; sweep != NULL && number <= all; number += atoi(sweep)) {
      fail_one(scenes[i].name, scenes[i].run, 0, number);
    }
    for (; sweep == NULL && place < seen->count; place++) {
      fail_one(scenes[i].name, scenes[i].run, seen->places[place], 0);
      if (place + 1 == seen->count) wait_for_room(0); /* there may be others then */
    }
    wait_for_room(0);
    if (count > 2) printf("%s, %s: %d allocations, %d failed\n", kind, scenes[i].name, all, injected - before);
  }
  if (count > 2) printf("%s: %d allocations failed, %d times the process ended\n", kind, injected, ended);
  return outcome();
}
