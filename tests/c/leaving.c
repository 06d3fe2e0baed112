/* A program that ends with checks under way, freeing nothing: it ends as if there were no library.
 *
 *     leaving return|exit|quick
 */
#include "target.h"

#include <pthread.h>

static struct target up, mute;
static shaker_checker *checker;
static atomic_int called_back;

static void call_back(const shaker_result *result, void *user_data) {
  shaker_request request = ask(&up, 0);
  request.callback = call_back;
  request.user_data = user_data;
  if (result->status == SHAKER_OK) called_back++;
  shaker_submit(checker, &request, 1, NULL);
}

static void *wait_for_ever(void *unused) {
  shaker_check_addr(checker, mute.text, UINT32_MAX, NULL);
  return unused;
}

static void *reap_for_ever(void *unused) {
  shaker_result result;
  while (shaker_reap(checker, &result, 1, UINT32_MAX) > 0) {
  }
  return unused;
}

int main(int argc, char **argv) {
  NEED(argc == 2);
  up = live(AF_INET);
  mute = silent();
  checker = new_checker();
  NEED(shaker_checker_default() != NULL);
  EXPECT_EQ(shaker_check_addr(shaker_checker_default(), up.text, PATIENCE_MS, NULL), SHAKER_OK);
  shaker_request requests[3] = {ask(&up, 0), ask(&mute, UINT32_MAX), {.addr = "localhost:1"}};
  requests[0].callback = call_back;
  EXPECT_EQ(shaker_submit(checker, requests, 3, NULL), SHAKER_OK);
  pthread_t threads[2];
  NEED(pthread_create(&threads[0], NULL, wait_for_ever, NULL) == 0);
  NEED(pthread_create(&threads[1], NULL, reap_for_ever, NULL) == 0);
  UNTIL(called_back > 10);
  switch (argv[1][0]) {
  case 'r': return outcome();
  case 'e': exit(outcome());
  case 'q': quick_exit(outcome());
  default: return 2;
  }
}
