/* Children without end beside the checks of their parent: they exit, execute something, try the parent's checker, free
 * it, check with one of their own, fork again, or live on with copies of all that is open. No verdict of the parent's
 * suffers, and no child finds anything but what it should.
 *
 *     fork_storm CHILDREN socket|raw threads|driven */
#include "process.h"
#include "target.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

enum { FORKERS = 2, AT_ONCE = 6, MANY = 60, KINDS = 7 };

static struct target up, down, mute;
static shaker_checker *checker;
static shaker_monitor *monitor;
static atomic_int to_fork, forked;
static int is_raw_one, is_driven_one;

static shaker_checker *one_of_this_kind(void) {
  shaker_checker *made = NULL;
  shaker_config *config = shaker_config_new();
  NEED(config != NULL);
  NEED(shaker_config_set_engine(config, is_raw_one ? SHAKER_ENGINE_RAW : SHAKER_ENGINE_SOCKET) == SHAKER_OK);
  NEED(shaker_config_set_caller_driven(config, is_driven_one) == SHAKER_OK);
  NEED(shaker_config_set_timeout(config, PATIENCE_MS) == SHAKER_OK);
  NEED(shaker_checker_new(config, &made) == SHAKER_OK);
  shaker_config_free(config);
  return made;
}

static void is_told_so(void) {
  shaker_request request = ask(&up, 0);
  shaker_result result;
  shaker_change change;
  EXPECT_EQ(shaker_check(checker, &request, NULL), SHAKER_ERR_FORKED);
  EXPECT_EQ(shaker_submit(checker, &request, 1, NULL), SHAKER_ERR_FORKED);
  EXPECT_EQ(shaker_reap(checker, &result, 1, UINT32_MAX), 0);
  EXPECT_EQ(shaker_cancel(checker, 0), SHAKER_ERR_FORKED);
  EXPECT_EQ(shaker_monitor_reap(monitor, &change, 1, UINT32_MAX), 0);
}

static void child(int kind) {
  failures = 0; /* the parent's are the parent's */
  switch (kind) {
  case 0: break;
  case 1: is_told_so(); break;
  case 2:
    EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
    EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
    break;
  case 3: {
    shaker_checker *own = one_of_this_kind();
    EXPECT_EQ(shaker_check_addr(own, up.text, 0, NULL), SHAKER_OK);
    EXPECT_EQ(shaker_check_addr(own, down.text, 0, NULL), SHAKER_REFUSED);
    EXPECT_EQ(shaker_checker_free(own), SHAKER_OK);
    break;
  }
  case 4: {
    pid_t grandchild = fork_child();
    if (grandchild == 0) {
      is_told_so();
      _exit(outcome());
    }
    EXPECT_EQ(wait_for(grandchild), 0);
    break;
  }
  case 5: pause_ms(20); break;
  default: execl("/bin/true", "true", (char *)NULL); _exit(3);
  }
  _exit(outcome());
}

static void *fork_again_and_again(void *unused) {
  pid_t children[AT_ONCE] = {0};
  for (int place = 0; to_fork-- > 0; place = (place + 1) % AT_ONCE) {
    if (children[place] > 0) EXPECT_EQ(wait_for(children[place]), 0);
    int kind = forked++ % KINDS;
    children[place] = fork_child();
    if (children[place] == 0) child(kind);
  }
  for (int place = 0; place < AT_ONCE; place++) {
    if (children[place] > 0) EXPECT_EQ(wait_for(children[place]), 0);
  }
  return unused;
}

/* Checks in every way, all with the answers that they should have. */
static void check_all(void) {
  shaker_request requests[MANY];
  shaker_result results[MANY];
  static const shaker_status truths[] = {SHAKER_OK, SHAKER_REFUSED, SHAKER_TIMEOUT};
  for (int i = 0; i < MANY; i++) {
    struct target *targets[] = {&up, &down, &mute};
    requests[i] = ask(targets[i % 3], i % 3 == 2 ? 50 : 0);
    requests[i].user_data = (void *)(uintptr_t)(i % 3);
  }
  EXPECT_EQ(shaker_submit(checker, requests, MANY, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check(checker, &requests[0], NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check(checker, &requests[1], NULL), SHAKER_REFUSED);
  for (size_t left = MANY, count; left > 0; left -= count) {
    count = shaker_reap(checker, results, left, PATIENCE_MS);
    NEED(count > 0);
    for (size_t i = 0; i < count; i++) {
      shaker_status truth = truths[(uintptr_t)results[i].user_data];
      /* On a busy machine a short time is over before the check's turn, which is no verdict. */
      EXPECT(results[i].status == truth || (truth == SHAKER_TIMEOUT && results[i].status == SHAKER_ERR_BUSY));
    }
  }
}

static void the_monitor_was_right(void) {
  shaker_change change;
  while (shaker_monitor_reap(monitor, &change, 1, 0) == 1) {
    EXPECT_EQ(change.to, change.user_data == &up ? SHAKER_STATE_UP : SHAKER_STATE_DOWN);
  }
}

int main(int argc, char **argv) {
  NEED(argc == 4);
  to_fork = atoi(argv[1]);
  is_raw_one = strcmp(argv[2], "raw") == 0;
  is_driven_one = strcmp(argv[3], "driven") == 0;
  int children = to_fork, descriptors_before = descriptors(), threads_before = threads();
  up = live(AF_INET);
  down = dead(AF_INET);
  mute = silent();
  checker = one_of_this_kind();
  NEED(shaker_monitor_new(checker, NULL, &monitor) == SHAKER_OK);
  shaker_watch watches[] = {{.addr = up.text, .interval_ms = 20, .user_data = &up},
                            {.addr = down.text, .interval_ms = 20, .user_data = &down}};
  EXPECT_EQ(shaker_monitor_add(monitor, watches, 2, NULL), SHAKER_OK);

  pthread_t forkers[FORKERS];
  for (int i = 0; i < FORKERS; i++) NEED(pthread_create(&forkers[i], NULL, fork_again_and_again, NULL) == 0);
  while (to_fork > 0) {
    check_all();
    the_monitor_was_right();
    /* A completed handshake would be admitted; it is not what this program is about, but for a full queue. */
    accept_all(&up);
  }
  for (int i = 0; i < FORKERS; i++) pthread_join(forkers[i], NULL);
  check_all();
  EXPECT(forked == children);

  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  close_target(&up);
  close_target(&down);
  close_target(&mute);
  EXPECT_EQ(descriptors(), descriptors_before);
  UNTIL(threads() == threads_before);
  return outcome();
}
