/* Every function of the system that the library calls is made to fail in turn, with each error that its man page lists,
 * once or from some time on: no target is down or up for it, nothing is lost or left, and once the fault is gone the
 * checker goes on.
 *
 *     failing_calls socket|raw|driven|raw-driven|namespace checks|monitors calls
 *
 * The kind of checker, who makes the checks, and how many of the calls of each function fail in turn. */
#include "interposed.h"
#include "kinds.h"
#include "process.h"
#include "target.h"

#include <malloc.h>

/* Ample for an answer on this host, and not for one that never comes. */
enum { LONG_MS = 300, SHORT_MS = 2 };
/* So many calls of each function are all that a run makes. */
enum { EVERY_CALL = 1000 };

static struct target up, up6, down, mute;
static char name[40];
static int watches; /* whether monitors make the checks */

/* What is checked, and what is true of it. */
enum { STEPS = 7 };
static struct step {
  const char *addr;
  uint32_t flags, timeout_ms;
  int truth;
} steps[STEPS];

static char trouble[200];
static int complaints; /* about the fault at hand */

static void name_trouble(const char *what) {
  if (fault.call == CALLS) {
    snprintf(trouble, sizeof trouble, "%s: nothing fails: %s\n", kind, what);
    return;
  }
  snprintf(trouble, sizeof trouble, "%s: %s fails with %s (%d), call %d%s: %s\n", kind, known[fault.call].name,
           strerrorname_np(fault.error) ? strerrorname_np(fault.error) : "EAI", fault.error, fault.from,
           fault.to == fault.from ? "" : " and all after", what);
}

static void complain(const char *what, long long number) {
  if (complaints++ >= 3 || failures++ >= 100) return;
  name_trouble(what);
  fprintf(stderr, "%.*s %lld\n", (int)strlen(trouble) - 1, trouble, number);
}

static void dies(int signal) {
  name_trouble(signal == SIGALRM ? "somebody waits for ever" : "the process dies");
  ssize_t written = (write)(2, trouble, strlen(trouble));
  _exit(written > 0 ? 3 : 4);
}

/* Where the call that failed is not why the check has no verdict, the error is another one. Checks on sockets bind only
 * who asks as a stranger whether two checks have met: without it that stays open, whatever hindered it, and EADDRINUSE
 * says so. On the raw engine ENOBUFS says that an answer may have been lost on this host, as it may where one that
 * recvmmsg(2) told of cannot be had; or that until the deadline there was no room for the SYN, which is what
 * sendmmsg(2) means by EAGAIN and ENOMEM, too. */
static int is_told_otherwise(int error) {
  if (fault.call == CALL_bind) return !is_raw_kind() && error == EADDRINUSE;
  if (fault.call == CALL_sendmmsg) return (fault.error == EAGAIN || fault.error == ENOMEM) && error == ENOBUFS;
  return fault.call == CALL_recvmmsg && error == ENOBUFS;
}

static void judge(const char *how, const struct step *step, int status, int error) {
  char what[120];
  int something_fails = fault.call != CALLS, is_named = step->addr == name;
  if (status == step->truth && error == (status == SHAKER_REFUSED ? ECONNREFUSED : 0)) return;
  if (something_fails && status == SHAKER_ERR_LOCAL && (error == fault.error || is_told_otherwise(error))) return;
  if (status == SHAKER_ERR_BUSY) return; /* a check of 2 ms, on a busy machine */
  int is_of_name = error == EAI_AGAIN /* by the deadline, on a busy machine */ ||
                   (fault.call == CALL_getaddrinfo && error == fault.error);
  if (status == SHAKER_ERR_RESOLVE && is_named && is_of_name) return;
  if (status == SHAKER_ERR_CANCELLED && step == &steps[STEPS - 1] && strcmp(how, "submitted") == 0) return;
  snprintf(what, sizeof what, "%s, %s (%d): status %d, error", step->addr, how, step->truth, status);
  complain(what, error);
}

static atomic_int called;

static void note(const shaker_result *result, void *user_data) {
  judge("by callback", user_data, result->status, result->os_error);
  called++;
}

static void ask_every_way(shaker_checker *checker) {
  shaker_request requests[STEPS + 1];
  shaker_result results[STEPS + 1];
  for (int i = 0; i < STEPS; i++) {
    requests[i] = (shaker_request){.addr = steps[i].addr, .flags = steps[i].flags, .timeout_ms = steps[i].timeout_ms};
    requests[i].user_data = &steps[i];
    if (steps[i].truth == SHAKER_TIMEOUT) continue;
    int status = shaker_check(checker, &requests[i], results);
    judge("blocking", &steps[i], status, results->os_error);
  }
  if (shaker_check_many(checker, requests, STEPS, results) == SHAKER_OK) {
    for (int i = 0; i < STEPS; i++) judge("in a list", &steps[i], results[i].status, results[i].os_error);
  }
  shaker_checker_fd(checker);
  requests[STEPS] = requests[0];
  requests[STEPS].callback = note;
  called = 0;
  uint64_t ids[STEPS + 1];
  if (shaker_submit(checker, requests, STEPS + 1, ids) == SHAKER_OK) {
    shaker_cancel(checker, ids[STEPS - 1]);
    int reaped = 0;
    for (long long give_up = now_ms() + 20000; (reaped < STEPS || called < 1) && now_ms() < give_up;) {
      size_t taken = shaker_reap(checker, results, STEPS, reaped < STEPS ? 1000 : 1);
      for (size_t i = 0; i < taken; i++) {
        judge("submitted", results[i].user_data, results[i].status, results[i].os_error);
      }
      reaped += (int)taken;
    }
    if (reaped != STEPS || called != 1)
      complain("results and calls that came, in hundreds and ones:", 100 * reaped + called);
  }
}

static void goes_on(shaker_checker *checker) {
  for (int i = 0; i < 3; i++) {
    shaker_request request = {.addr = steps[i].addr, .timeout_ms = PATIENCE_MS, .flags = steps[i].flags};
    int status = shaker_check(checker, &request, NULL);
    if (status != steps[i].truth) complain("the fault is gone, and a check is", status);
    shaker_result result = {0};
    if (shaker_submit(checker, &request, 1, NULL) != SHAKER_OK) complain("the fault is gone, and a submit fails", 0);
    if (shaker_reap(checker, &result, 1, PATIENCE_MS) != 1 || result.status != steps[i].truth) {
      complain("the fault is gone, and a submitted check is", result.status);
    }
  }
  shaker_stats stats = stats_of(checker);
  uint64_t ends = stats.up + stats.timed_out + stats.refused + stats.unreachable + stats.err_address +
                  stats.err_resolve + stats.err_local + stats.err_cancelled + stats.err_closed + stats.err_busy +
                  stats.err_unsupported + stats.err_internal;
  if (stats.submitted != ends) complain("checks without an end:", (long long)(stats.submitted - ends));
  if (stats.in_flight + stats.queued != 0) complain("checks left", (long long)(stats.in_flight + stats.queued));
}

static shaker_checker *make(void) {
  shaker_checker *checker = NULL;
  shaker_config *config = shaker_config_new();
  NEED(config != NULL);
  NEED(shaker_config_set_syn_interval(config, 1) == SHAKER_OK);
  NEED(!is_raw_kind() || shaker_config_set_engine(config, SHAKER_ENGINE_RAW) == SHAKER_OK);
  NEED(shaker_config_set_caller_driven(config, is_driven_kind()) == SHAKER_OK);
  NEED(strcmp(kind, "namespace") != 0 || shaker_config_set_network_namespace(config, "/proc/self/ns/net") == SHAKER_OK);
  int status = shaker_checker_new(config, &checker);
  if (status != SHAKER_OK && status != SHAKER_ERR_LOCAL && status != SHAKER_ERR_UNSUPPORTED) {
    complain("a new checker is", status);
  }
  if ((checker == NULL) != (status != SHAKER_OK)) complain("a checker is there, and the status is", status);
  shaker_config_free(config);
  return checker;
}

/* Two checkers: one is there before the fault, one is made while it is there. */
static void use_two(void) {
  shaker_checker *old = make();
  NEED(old != NULL);
  goes_on(old);
  counting = 1;
  shaker_checker *fresh = make();
  if (fresh != NULL) ask_every_way(fresh);
  ask_every_way(old);
  counting = 0;
  if (fresh != NULL) {
    goes_on(fresh);
    counting = 1;
    if (shaker_checker_free(fresh) != SHAKER_OK) complain("it cannot be freed", 0);
    counting = 0;
  }
  goes_on(old);
  if (shaker_checker_free(old) != SHAKER_OK) complain("it cannot be freed", 0);
}

/* What two monitors watch: each target may change once, and to what is true of it. */
enum { WATCHES = 4 };
static const struct watched {
  int step, state;
} watched[WATCHES] = {{0, SHAKER_STATE_UP}, {1, SHAKER_STATE_DOWN}, {4, SHAKER_STATE_UP}, {5, SHAKER_STATE_DOWN}};

struct monitored {
  shaker_monitor *monitor;
  uint64_t ids[WATCHES];
  int changes[WATCHES];
};

/* A monitor with its watches, or none, if the fault allows of none. */
static struct monitored begin_to_watch(shaker_checker *checker) {
  struct monitored all = {0};
  shaker_watch watches[WATCHES];
  shaker_monitor_config *config = shaker_monitor_config_new();
  NEED(shaker_monitor_config_set_max_spread(config, 0) == SHAKER_OK);
  int status = shaker_monitor_new(checker, config, &all.monitor);
  shaker_monitor_config_free(config);
  if (status != SHAKER_OK && status != SHAKER_ERR_LOCAL) complain("a new monitor is", status);
  if ((all.monitor == NULL) != (status != SHAKER_OK)) complain("a monitor is there, and the status is", status);
  if (all.monitor == NULL) return all;
  for (int i = 0; i < WATCHES; i++) {
    const struct step *step = &steps[watched[i].step];
    watches[i] = (shaker_watch){.addr = step->addr, .flags = step->flags, .timeout_ms = step->timeout_ms};
    watches[i].interval_ms = 2;
    watches[i].user_data = (void *)(size_t)i;
  }
  status = shaker_monitor_add(all.monitor, watches, WATCHES, all.ids);
  if (status == SHAKER_OK) return all;
  if (status != SHAKER_ERR_LOCAL) complain("watches are", status);
  shaker_monitor_free(all.monitor);
  all.monitor = NULL;
  return all;
}

static void reap_changes(struct monitored *all) {
  shaker_change changes[WATCHES];
  if (all->monitor == NULL) return;
  size_t count = shaker_monitor_reap(all->monitor, changes, WATCHES, 1);
  for (size_t i = 0; i < count; i++) {
    size_t watch = (size_t)changes[i].user_data;
    if (changes[i].to != watched[watch].state) complain("a watch is called", changes[i].to);
    if (++all->changes[watch] != 1) complain("changes of one watch:", all->changes[watch]);
  }
}

static int have_all_changed(const struct monitored *all) {
  for (int i = 0; i < WATCHES && all->monitor != NULL; i++) {
    if (all->changes[i] == 0) return 0;
  }
  return 1;
}

/* Two monitors: one is there before the fault, one is made while it is there. */
static void watch_with_two(void) {
  shaker_checker *checker = make();
  NEED(checker != NULL);
  struct monitored old = begin_to_watch(checker);
  NEED(old.monitor != NULL);
  counting = 1;
  struct monitored fresh = begin_to_watch(checker);
  shaker_monitor_fd(old.monitor);
  for (int i = 0; i < 12; i++) {
    reap_changes(&old);
    reap_changes(&fresh);
    shaker_monitor_check_now(old.monitor, old.ids[i % WATCHES]);
  }
  counting = 0;
  for (long long give_up = now_ms() + 20000; now_ms() < give_up;) {
    reap_changes(&old);
    reap_changes(&fresh);
    if (have_all_changed(&old) && have_all_changed(&fresh)) break;
  }
  if (!have_all_changed(&old) || !have_all_changed(&fresh)) complain("the fault is gone, and no change comes", 0);
  counting = 1;
  if (fresh.monitor != NULL && shaker_monitor_free(fresh.monitor) != SHAKER_OK) complain("it cannot be freed", 0);
  counting = 0;
  if (shaker_monitor_free(old.monitor) != SHAKER_OK) complain("it cannot be freed", 0);
  if (shaker_checker_free(checker) != SHAKER_OK) complain("it cannot be freed", 0);
}

/* Whether the fault came about. The C library and Rust's make something once for a process, such as a descriptor of
 * /dev/urandom where getrandom(2) is refused. So what is left is a leak if it is left every time. */
static int run(int call, int error, int from, int to) {
  long long left[2] = {1, 1};
  sigset_t none;
  sigemptyset(&none);
  fault = (struct fault){call, error, from, to};
  failed = complaints = 0;
  for (int again = 0; again < 4 && left[0] + left[1] != 0; again++) {
    int descriptors_before = descriptors();
    size_t memory_before = mallinfo2().uordblks;
    memset(calls, 0, sizeof calls);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    alarm(60);
    if (watches) {
      watch_with_two();
    } else {
      use_two();
    }
    accept_all(&up); /* checks by the whole handshake would fill its queue */
    for (int patience = 5000; patience > 0 && threads() != 1; patience--) pause_ms(1);
    if (threads() != 1) complain("threads left", threads() - 1);
    left[0] = descriptors() - descriptors_before;
    left[1] = (long long)mallinfo2().uordblks - (long long)memory_before;
    if (left[1] < 0) left[1] = 0;
  }
  if (left[0] != 0) complain("descriptors left", left[0]);
  if (left[1] != 0) complain("bytes left", left[1]);
  return failed > 0;
}

/* A signal interrupts a call a few times, and data may be late: who makes the call again is right. */
static int last_of(int error) {
  return error == EINTR || error == EAGAIN ? 5 : INT32_MAX;
}

static void set_the_stage(void) {
  up = live(AF_INET);
  up6 = live(AF_INET6);
  down = dead(AF_INET);
  mute = silent();
  snprintf(name, sizeof name, "localhost:%u", ntohs(up.address.in.sin_port));
  uint32_t full = is_raw_kind() ? 0 : SHAKER_FULL_HANDSHAKE;
  struct step list[STEPS] = {
    {up.text, 0, LONG_MS, SHAKER_OK},         {down.text, 0, LONG_MS, SHAKER_REFUSED},
    {up6.text, 0, LONG_MS, SHAKER_OK},        {up.text, full, LONG_MS, SHAKER_OK},
    {name, SHAKER_IPV4, LONG_MS, SHAKER_OK},  {mute.text, 0, SHORT_MS, SHAKER_TIMEOUT},
    {mute.text, 0, SHORT_MS, SHAKER_TIMEOUT},
  };
  memcpy(steps, list, sizeof steps);
  struct sigaction action = {.sa_handler = dies};
  int deadly[] = {SIGALRM, SIGABRT, SIGSEGV, SIGBUS, SIGILL};
  for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) NEED(sigaction(deadly[i], &action, NULL) == 0);
}

int main(int count, char **arguments) {
  NEED(count == 4);
  kind = arguments[1];
  watches = strcmp(arguments[2], "monitors") == 0;
  int most = atoi(arguments[3]), made[CALLS], faults = 0;
  set_the_stage();
  run(CALLS, 0, 0, 0);
  for (int call = 0; call < CALLS; call++) made[call] = calls[call];
  for (int call = 0; call < CALLS; call++) {
    const int *errors = known[call].errors;
    int different = 0, slow = 0;
    while (errors[different] != 0) different++;
    for (int i = 0; i < different && made[call] > 0; i++) {
      /* Where the checks wait until their deadlines, one of the errors shows it. */
      if (most < EVERY_CALL && slow == 1) break;
      long long begun = now_ms();
      faults += run(call, errors[i], 1, last_of(errors[i]));
      slow += now_ms() - begun > 2 * LONG_MS;
    }
    for (int number = 1; number <= made[call] && number <= most; number++) {
      for (int i = 0; i < different; i++) {
        if (most >= EVERY_CALL || number % different == i) faults += run(call, errors[i], number, number);
      }
    }
  }
  EXPECT(faults > (watches ? 50 : 100));
  printf("%d faults\n", faults);
  return outcome();
}
