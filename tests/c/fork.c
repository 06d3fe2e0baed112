/* A forked child may neither use nor disturb its parent's checker, and has a default checker of its own. */
#include "process.h"
#include "target.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

enum { MANY = 40 };

static struct target up, down, mute;
static shaker_checker *checker;
static atomic_int called_back;

static void count(const shaker_result *result, void *user_data) {
  (void)user_data;
  EXPECT(result->status == SHAKER_OK || result->status == SHAKER_TIMEOUT);
  called_back++;
}

/* Everything that the child may try on its parent's checker. */
static void every_call_says_forked(shaker_checker *parents) {
  shaker_request request = ask(&up, 0), request_with_callback = ask(&up, 0);
  shaker_result result;
  shaker_stats stats;
  uint64_t id = 7;
  request_with_callback.callback = count;
  memset(&result, 0xAA, sizeof result);
  EXPECT_EQ(shaker_check_addr(parents, up.text, 0, &result), SHAKER_ERR_FORKED);
  EXPECT(result.status == SHAKER_ERR_FORKED && result.address.sa.sa_family == AF_UNSPEC && result.reserved == 0);
  EXPECT_EQ(shaker_check_sockaddr(parents, &up.address.sa, up.length, 0, &result), SHAKER_ERR_FORKED);
  EXPECT_EQ(shaker_check(parents, &request, NULL), SHAKER_ERR_FORKED);
  memset(&result, 0xAA, sizeof result);
  EXPECT_EQ(shaker_check_many(parents, &request, 1, &result), SHAKER_ERR_FORKED);
  for (size_t i = 0; i < sizeof result; i++) EXPECT(((unsigned char *)&result)[i] == 0xAA);
  EXPECT_EQ(shaker_submit(parents, &request, 1, &id), SHAKER_ERR_FORKED);
  EXPECT_EQ(shaker_submit(parents, &request_with_callback, 1, &id), SHAKER_ERR_FORKED);
  EXPECT_EQ(id, 7);
  EXPECT_EQ(shaker_reap(parents, &result, 1, UINT32_MAX), 0);
  EXPECT_EQ(shaker_checker_fd(parents), -1);
  EXPECT_EQ(shaker_checker_engine(parents), SHAKER_ERR_FORKED);
  EXPECT_EQ(shaker_cancel(parents, 0), SHAKER_ERR_FORKED);
  EXPECT_EQ(shaker_cancel(parents, 1), SHAKER_ERR_FORKED);
  memset(&stats, 0xAA, sizeof stats);
  EXPECT_EQ(shaker_checker_stats(parents, &stats, sizeof stats), SHAKER_ERR_FORKED);
  EXPECT(((unsigned char *)&stats)[0] == 0xAA);
  shaker_checker_shutdown(parents);
}

/* Ends a child without the exit handlers that are its parent's. */
static void end_child(void) {
  _exit(outcome());
}

/* The child tries everything, frees the handle, and works with a checker of its own. */
static void child(shaker_checker *parents_default) {
  every_call_says_forked(checker);
  every_call_says_forked(parents_default);
  int before = descriptors();
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  EXPECT_EQ(descriptors(), before);
  EXPECT_EQ(threads(), 1);

  shaker_checker *own = shaker_checker_default();
  EXPECT(own != NULL && own != parents_default && own == shaker_checker_default());
  EXPECT_EQ(shaker_check_addr(own, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check_addr(own, down.text, PATIENCE_MS, NULL), SHAKER_REFUSED);
  EXPECT_EQ(shaker_check_addr(own, mute.text, 100, NULL), SHAKER_TIMEOUT);
  char name[32];
  snprintf(name, sizeof name, "localhost:%u", ntohs(up.address.in.sin_port));
  EXPECT_EQ(shaker_check_addr(own, name, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(own), SHAKER_ERR_INVALID);

  /* And with one that it makes, as its own children see it. */
  shaker_checker *made = new_checker();
  EXPECT_EQ(shaker_check_addr(made, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  pid_t grandchild = fork_child();
  if (grandchild == 0) {
    every_call_says_forked(made);
    every_call_says_forked(own);
    every_call_says_forked(parents_default);
    EXPECT_EQ(shaker_checker_free(made), SHAKER_OK);
    shaker_checker *grandchilds = shaker_checker_default();
    EXPECT(grandchilds != NULL && grandchilds != own && grandchilds != parents_default);
    EXPECT_EQ(shaker_check_addr(grandchilds, up.text, PATIENCE_MS, NULL), SHAKER_OK);
    end_child();
  }
  EXPECT_EQ(wait_for(grandchild), 0);
  EXPECT_EQ(shaker_check_addr(made, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(made), SHAKER_OK);
  end_child();
}

static void checks_in_flight_outlive_a_child(void) {
  static shaker_request requests[2 * MANY];
  static shaker_result results[2 * MANY];
  checker = new_checker();
  shaker_checker *shared = shaker_checker_default();
  EXPECT_EQ(shaker_check_addr(shared, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  int fd = shaker_checker_fd(checker);
  for (int i = 0; i < 2 * MANY; i++) {
    requests[i] = i % 2 ? ask(&up, PATIENCE_MS) : ask(&mute, 3000);
    if (i >= MANY) requests[i].callback = count;
  }
  EXPECT_EQ(shaker_submit(checker, requests, 2 * MANY, NULL), SHAKER_OK);
  for (int i = 0; i < 3; i++) {
    pid_t one = fork_child();
    if (one == 0) child(shared);
    EXPECT_EQ(wait_for(one), 0);
  }
  /* The descriptor is still the checker's, and wakes whoever polls it. */
  size_t reaped = 0;
  while (reaped < MANY) {
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    EXPECT_EQ(poll(&waiting, 1, PATIENCE_MS), 1);
    size_t more = shaker_reap(checker, results + reaped, 2 * MANY - reaped, 0);
    EXPECT(more > 0);
    if (more == 0) break;
    reaped += more;
  }
  EXPECT_EQ(reaped, MANY);
  int up_ones = 0, timed_out = 0;
  for (size_t i = 0; i < reaped; i++) {
    up_ones += results[i].status == SHAKER_OK;
    timed_out += results[i].status == SHAKER_TIMEOUT;
  }
  EXPECT(up_ones == MANY / 2 && timed_out == MANY / 2);
  UNTIL(called_back == MANY);
  EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check_addr(shared, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT(shared == shaker_checker_default());
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* A child that no fork handler hears of: made by the system call itself. */
static void a_bare_clone_is_a_child_too(void) {
  checker = new_checker();
  long one = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  NEED(one >= 0);
  if (one == 0) {
    every_call_says_forked(checker);
    end_child();
  }
  EXPECT_EQ(wait_for((pid_t)one), 0);
  EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* A fork from inside a callback: the child's one thread was a loop thread of its parent. */
static void forks(const shaker_result *result, void *user_data) {
  (void)result;
  pid_t one = fork_child();
  if (one == 0) {
    every_call_says_forked(checker);
    EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
    EXPECT_EQ(shaker_check_addr(shaker_checker_default(), up.text, PATIENCE_MS, NULL), SHAKER_OK);
    end_child();
  }
  *(atomic_int *)user_data = one;
}

static void a_callback_may_fork(void) {
  atomic_int one = 0;
  shaker_request request = ask(&up, 0);
  request.callback = forks;
  request.user_data = &one;
  checker = new_checker();
  EXPECT_EQ(shaker_submit(checker, &request, 1, NULL), SHAKER_OK);
  UNTIL(one != 0);
  NEED(one > 0);
  EXPECT_EQ(wait_for(one), 0);
  EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* A monitor of a checker, too. */
static void a_monitor_is_its_parents(void) {
  shaker_monitor *monitor = NULL;
  shaker_watch watch = {.addr = up.text, .interval_ms = 10};
  shaker_change change;
  uint64_t id = 0;
  checker = new_checker();
  EXPECT_EQ(shaker_monitor_new(checker, NULL, &monitor), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_add(monitor, &watch, 1, &id), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_reap(monitor, &change, 1, PATIENCE_MS), 1);
  EXPECT_EQ(change.to, SHAKER_STATE_UP);
  pid_t one = fork_child();
  if (one == 0) {
    shaker_watch_info info;
    shaker_monitor *another = monitor;
    EXPECT_EQ(shaker_monitor_new(checker, NULL, &another), SHAKER_ERR_FORKED);
    EXPECT(another == NULL);
    EXPECT_EQ(shaker_monitor_add(monitor, &watch, 1, NULL), SHAKER_ERR_FORKED);
    EXPECT_EQ(shaker_monitor_remove(monitor, &id, 1), SHAKER_ERR_FORKED);
    EXPECT_EQ(shaker_monitor_pause(monitor, id, true), SHAKER_ERR_FORKED);
    EXPECT_EQ(shaker_monitor_check_now(monitor, id), SHAKER_ERR_FORKED);
    EXPECT_EQ(shaker_monitor_report(monitor, id, true), SHAKER_ERR_FORKED);
    EXPECT_EQ(shaker_monitor_get(monitor, id, &info, sizeof info), SHAKER_ERR_FORKED);
    EXPECT_EQ(shaker_monitor_reap(monitor, &change, 1, UINT32_MAX), 0);
    EXPECT_EQ(shaker_monitor_fd(monitor), -1);
    EXPECT_EQ(shaker_monitor_held(monitor), 0);
    EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
    EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
    end_child();
  }
  EXPECT_EQ(wait_for(one), 0);
  /* Here it goes on. */
  for (int i = 0; i < 3; i++) EXPECT_EQ(shaker_monitor_report(monitor, id, false), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_reap(monitor, &change, 1, PATIENCE_MS), 1);
  EXPECT_EQ(shaker_monitor_reap(monitor, &change, 1, PATIENCE_MS), 1);
  EXPECT(change.from == SHAKER_STATE_DOWN && change.to == SHAKER_STATE_UP);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* How many sockets of this machine try to connect to the target. The table is not read at one instant, so that an
 * entry may be missed or seen twice while others come and go: a single look proves nothing. */
static int connecting_to(const struct target *target) {
  const struct sockaddr_in *address = &target->address.in;
  char remote[32], *line = NULL;
  size_t capacity = 0;
  int found = 0;
  snprintf(remote, sizeof remote, "%08X:%04X 02 ", address->sin_addr.s_addr, ntohs(address->sin_port));
  FILE *table = fopen("/proc/net/tcp", "re");
  NEED(table != NULL);
  while (getline(&line, &capacity, table) >= 0) found += strstr(line, remote) != NULL;
  NEED(!ferror(table));
  free(line);
  fclose(table);
  return found;
}

/* Forks a child that holds a copy of every descriptor until it is killed. */
static pid_t fork_idle_child(void) {
  pid_t one = fork_child();
  if (one == 0) {
    pause();
    _exit(0);
  }
  return one;
}

static void end_idle_child(pid_t one) {
  EXPECT_EQ(kill(one, SIGKILL), 0);
  EXPECT_EQ(wait_for(one), 128 + SIGKILL);
}

/* Reaps so many results, all with this status. */
static void reap_all(size_t left, shaker_status status) {
  static shaker_result results[MANY];
  while (left > 0) {
    size_t count = shaker_reap(checker, results, left, PATIENCE_MS);
    EXPECT(count > 0);
    if (count == 0) return;
    for (size_t i = 0; i < count; i++) EXPECT_EQ(results[i].status, status);
    left -= count;
  }
}

/* Forks while MANY checks of a silent target are in flight, half of which have this timeout and the others a long one.
 * Returns the child; 0 if the machine was so slow that some had ended: then all are over, and there is no child. */
static pid_t fork_in_mid_check(uint32_t timeout_ms) {
  shaker_request requests[MANY];
  shaker_result results[MANY];
  uint64_t over = stats_of(checker).timed_out;
  for (int i = 0; i < MANY; i++) requests[i] = ask(&mute, i % 2 ? timeout_ms : 100 * PATIENCE_MS);
  for (int i = 0; i < MANY; i += 4) requests[i].flags = requests[i + 1].flags = SHAKER_LINGER;
  EXPECT_EQ(shaker_submit(checker, requests, MANY, NULL), SHAKER_OK);
  UNTIL(connecting_to(&mute) == MANY || stats_of(checker).timed_out > over);
  pid_t one = fork_idle_child();
  if (stats_of(checker).timed_out == over) return one;
  end_idle_child(one);
  EXPECT_EQ(shaker_cancel(checker, 0), SHAKER_OK);
  for (size_t left = MANY, count; left > 0; left -= count) {
    count = shaker_reap(checker, results, left, PATIENCE_MS);
    NEED(count > 0);
  }
  return 0;
}

/* A child that lives on holds a copy of every descriptor, so closing ends no connection; the checks end theirs. */
static void a_child_that_lives_on_keeps_nothing_alive(void) {
  static shaker_request requests[MANY];
  static shaker_result results[MANY];
  struct target live_one = live(AF_INET);
  pid_t one = 0;
  checker = new_checker();
  /* Some sockets to inherit that lie idle, and some in mid-check. */
  for (int i = 0; i < MANY; i++) requests[i] = ask(&live_one, PATIENCE_MS);
  EXPECT_EQ(shaker_check_many(checker, requests, MANY, NULL), SHAKER_OK);
  for (uint32_t timeout_ms = 1000; one == 0 && timeout_ms < PATIENCE_MS; timeout_ms *= 2) {
    one = fork_in_mid_check(timeout_ms);
  }
  NEED(one != 0);
  /* By time, by cancel, by free: the connection attempt is over when the check is. */
  reap_all(MANY / 2, SHAKER_TIMEOUT);
  UNTIL(connecting_to(&mute) == MANY / 2);
  EXPECT_EQ(shaker_cancel(checker, 0), SHAKER_OK);
  reap_all(MANY / 2, SHAKER_ERR_CANCELLED);
  UNTIL(connecting_to(&mute) == 0);

  /* The inherited sockets serve again, and are reset each time: no ACK slips out in the half second after. */
  for (int i = 0; i < MANY; i++) requests[i] = ask(&live_one, PATIENCE_MS);
  EXPECT_EQ(shaker_check_many(checker, requests, MANY, results), SHAKER_OK);
  for (int i = 0; i < MANY; i++) EXPECT_EQ(results[i].status, SHAKER_OK);
  for (int i = 0; i < MANY; i++) EXPECT_EQ(shaker_check(checker, &requests[i], NULL), SHAKER_OK);
  requests[0] = ask(&mute, 100 * PATIENCE_MS);
  EXPECT_EQ(shaker_submit(checker, requests, 1, NULL), SHAKER_OK);
  UNTIL(connecting_to(&mute) == 1);
  uint64_t completed = stats_of(checker).completed_handshakes;
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  UNTIL(connecting_to(&mute) == 0);
  pause_ms(500);
  EXPECT((uint64_t)accept_all(&live_one) <= completed);
  end_idle_child(one);
  close_target(&live_one);
}

/* Forks without end beside the checks; each child lives a while with copies of whatever was open. */
static atomic_int storm;

static void *fork_again_and_again(void *unused) {
  enum { CHILDREN = 8 };
  pid_t children[CHILDREN] = {0};
  for (int i = 0; storm; i = (i + 1) % CHILDREN) {
    if (children[i] > 0) {
      kill(children[i], SIGKILL);
      wait_for(children[i]);
    }
    children[i] = fork_idle_child();
    pause_ms(2);
  }
  for (int i = 0; i < CHILDREN; i++) {
    if (children[i] <= 0) continue;
    kill(children[i], SIGKILL);
    wait_for(children[i]);
  }
  return unused;
}

static void forks_beside_the_checks_change_no_verdict(void) {
  enum { ROUNDS = 300 };
  struct target live_one = live(AF_INET);
  pthread_t forker;
  checker = new_checker();
  storm = 1;
  NEED(pthread_create(&forker, NULL, fork_again_and_again, NULL) == 0);
  for (int i = 0; i < ROUNDS; i++) {
    EXPECT_EQ(shaker_check_addr(checker, live_one.text, PATIENCE_MS, NULL), SHAKER_OK);
    EXPECT_EQ(shaker_check_addr(checker, down.text, PATIENCE_MS, NULL), SHAKER_REFUSED);
    shaker_request requests[2] = {ask(&live_one, PATIENCE_MS), ask(&mute, 1)};
    shaker_result results[2];
    EXPECT_EQ(shaker_check_many(checker, requests, 2, results), SHAKER_OK);
    EXPECT(results[0].status == SHAKER_OK && results[1].status == SHAKER_TIMEOUT);
  }
  pause_ms(500);
  uint64_t arrived = (uint64_t)accept_all(&live_one);
  EXPECT(arrived <= stats_of(checker).completed_handshakes || !reuses_sockets());

  /* A completed handshake ends at once too, although children hold its descriptor. */
  for (int i = 0; i < 2 * MANY; i++) {
    shaker_request request = ask(&live_one, PATIENCE_MS);
    request.flags = i % 2 ? SHAKER_FULL_HANDSHAKE : SHAKER_LINGER;
    EXPECT_EQ(shaker_check(checker, &request, NULL), SHAKER_OK);
    int fd = -1;
    long long until = now_ms() + PATIENCE_MS;
    while (fd < 0 && now_ms() < until) {
      fd = accept4(live_one.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
      /* One that was reset before it was accepted is not handed out by every kernel. */
      if (fd < 0 && request.flags == SHAKER_FULL_HANDSHAKE) break;
    }
    if (fd < 0) continue;
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    EXPECT_EQ(poll(&ended, 1, PATIENCE_MS), 1);
    char byte;
    EXPECT(read(fd, &byte, 1) <= 0);
    close(fd);
  }
  storm = 0;
  pthread_join(forker, NULL);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  close_target(&live_one);
}

int main(void) {
  up = live(AF_INET);
  down = dead(AF_INET);
  mute = silent();
  checks_in_flight_outlive_a_child();
  a_bare_clone_is_a_child_too();
  a_callback_may_fork();
  a_monitor_is_its_parents();
  /* Where closing is the reset, a connection under way at the fork lives until the child closes its copy, too. */
  if (reuses_sockets()) a_child_that_lives_on_keeps_nothing_alive();
  forks_beside_the_checks_change_no_verdict();
  close_target(&up);
  close_target(&down);
  close_target(&mute);
  return outcome();
}
