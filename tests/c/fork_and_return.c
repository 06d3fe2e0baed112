/* A child that is forked inside a callback, and returns from it, is on a thread that was a loop of its parent's checker:
 * it must never go on with that loop, whose sockets and poller are the parent's. */
#include "process.h"
#include "target.h"

#include <sys/mman.h>

enum { MANY = 200 };
/* The kernel sends a SYN again after 1, 3 and 7 s. */
enum { TIMEOUT_MS = 10000 };

static struct target up;
static shaker_checker *checker;

/* What parent and child can both see. */
struct seen {
  pid_t parent;
  atomic_int in_parent, up_in_parent, in_child, child_was_told;
};

static struct seen *seen;

/* Runs once for each check of the parent's, in the parent. */
static void note(const shaker_result *result, void *user_data) {
  (void)user_data;
  if (getpid() == seen->parent) {
    seen->in_parent++;
    seen->up_in_parent += result->status == SHAKER_OK;
  } else {
    seen->in_child++;
  }
}

/* Forks, and returns on both sides. */
static void fork_and_return(const shaker_result *result, void *user_data) {
  (void)result;
  pid_t child = fork_child();
  if (child == 0) {
    seen->child_was_told += shaker_check_addr(checker, up.text, 0, NULL) == SHAKER_ERR_FORKED;
    return;
  }
  *(atomic_int *)user_data = child;
}

/* Whether a child has ended by itself, within a while. */
static int ends(pid_t child) {
  long long until = now_ms() + TIMEOUT_MS;
  do {
    pid_t ended = waitpid(child, NULL, WNOHANG);
    NEED(ended >= 0);
    if (ended == child) return 1;
    pause_ms(10);
  } while (now_ms() < until);
  return 0;
}

/* Forks while checks are in flight whose answers come later: their target's queue is full until then. */
static void checks_in_flight(int with_callbacks) {
  static shaker_request requests[MANY];
  static shaker_result results[MANY];
  struct target late = silent();
  memset(seen, 0, sizeof *seen);
  seen->parent = getpid();
  checker = new_checker();
  for (int i = 0; i < MANY; i++) {
    requests[i] = ask(&late, TIMEOUT_MS);
    if (with_callbacks) requests[i].callback = note;
  }
  EXPECT_EQ(shaker_submit(checker, requests, MANY, NULL), SHAKER_OK);
  UNTIL(stats_of(checker).in_flight == MANY);
  atomic_int child = 0;
  shaker_request forks = ask(&up, PATIENCE_MS);
  forks.callback = fork_and_return;
  forks.user_data = &child;
  EXPECT_EQ(shaker_submit(checker, &forks, 1, NULL), SHAKER_OK);
  UNTIL(child != 0);
  NEED(child > 0);
  NEED(listen(late.fd, 4096) == 0); /* a longer queue is not full */

  size_t reaped = 0;
  int up_ones = 0;
  if (with_callbacks) {
    UNTIL(seen->in_parent + seen->in_child >= MANY);
    pause_ms(100); /* for one too many */
    EXPECT_EQ(seen->in_parent, MANY);
    up_ones = seen->up_in_parent;
  } else {
    while (reaped < MANY) {
      size_t more = shaker_reap(checker, results + reaped, MANY - reaped, PATIENCE_MS);
      EXPECT(more > 0);
      if (more == 0) break;
      for (size_t i = reaped; i < reaped + more; i++) up_ones += results[i].status == SHAKER_OK;
      reaped += more;
    }
    EXPECT_EQ(reaped, MANY);
  }
  EXPECT_EQ(up_ones, MANY);
  EXPECT_EQ(seen->in_child, 0);
  EXPECT_EQ(seen->child_was_told, 1);
  /* The parent's checker is as it was. */
  EXPECT_EQ(stats_of(checker).err_internal, 0);
  for (int i = 0; i < MANY; i++) requests[i] = ask(&up, PATIENCE_MS);
  EXPECT_EQ(shaker_check_many(checker, requests, MANY, results), SHAKER_OK);
  for (int i = 0; i < MANY; i++) EXPECT_EQ(results[i].status, SHAKER_OK);
  /* Nothing is left for the child to do: its one thread is gone, and it with it. */
  int ended = ends(child);
  EXPECT(ended);
  if (!ended) {
    kill(child, SIGKILL);
    wait_for(child);
  }
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  close_target(&late);
}

int main(void) {
  seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  NEED(seen != MAP_FAILED);
  up = live(AF_INET);
  checks_in_flight(0);
  checks_in_flight(1);
  close_target(&up);
  return outcome();
}
