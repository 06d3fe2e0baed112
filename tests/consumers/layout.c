/* The layout of the structs as C has it, a line for each, to be compared with what a binding declares. */
#include <stdio.h>

#include <tcpshaker.h>

#define SIZE(type) printf("%s %zu\n", #type, sizeof(type))
#define FIELD(type, field) printf("%s.%s %zu\n", #type, #field, offsetof(type, field))

/* Those that not all bindings have: with an argument. */
static void others(void) {
  SIZE(shaker_stats);
  FIELD(shaker_stats, submitted);
  FIELD(shaker_stats, up);
  FIELD(shaker_stats, timed_out);
  FIELD(shaker_stats, refused);
  FIELD(shaker_stats, unreachable);
  FIELD(shaker_stats, err_invalid);
  FIELD(shaker_stats, err_address);
  FIELD(shaker_stats, err_resolve);
  FIELD(shaker_stats, err_local);
  FIELD(shaker_stats, err_cancelled);
  FIELD(shaker_stats, err_closed);
  FIELD(shaker_stats, err_busy);
  FIELD(shaker_stats, err_unsupported);
  FIELD(shaker_stats, err_internal);
  FIELD(shaker_stats, in_flight);
  FIELD(shaker_stats, queued);
  FIELD(shaker_stats, completed_handshakes);
  FIELD(shaker_stats, sockets);
  FIELD(shaker_stats, unsolicited);
  SIZE(shaker_watch);
  FIELD(shaker_watch, addr);
  FIELD(shaker_watch, sockaddr);
  FIELD(shaker_watch, sockaddr_len);
  FIELD(shaker_watch, flags);
  FIELD(shaker_watch, mark);
  FIELD(shaker_watch, timeout_ms);
  FIELD(shaker_watch, interval_ms);
  FIELD(shaker_watch, falling_ms);
  FIELD(shaker_watch, rising_ms);
  FIELD(shaker_watch, down_ms);
  FIELD(shaker_watch, fall);
  FIELD(shaker_watch, rise);
  FIELD(shaker_watch, first_fall);
  FIELD(shaker_watch, first_rise);
  FIELD(shaker_watch, jitter_percent);
  FIELD(shaker_watch, initial);
  FIELD(shaker_watch, user_data);
  FIELD(shaker_watch, reserved);
  SIZE(shaker_change);
  FIELD(shaker_change, id);
  FIELD(shaker_change, user_data);
  FIELD(shaker_change, from);
  FIELD(shaker_change, to);
  FIELD(shaker_change, run);
  FIELD(shaker_change, flags);
  FIELD(shaker_change, at_us);
  FIELD(shaker_change, last);
  FIELD(shaker_change, reserved);
  SIZE(shaker_watch_info);
  FIELD(shaker_watch_info, state);
  FIELD(shaker_watch_info, run);
  FIELD(shaker_watch_info, since_us);
  FIELD(shaker_watch_info, next_us);
  FIELD(shaker_watch_info, checks);
  FIELD(shaker_watch_info, up);
  FIELD(shaker_watch_info, down);
  FIELD(shaker_watch_info, no_verdict);
  FIELD(shaker_watch_info, changes);
  FIELD(shaker_watch_info, rtt_us);
  FIELD(shaker_watch_info, rtt_smoothed_us);
  FIELD(shaker_watch_info, rtt_variation_us);
  FIELD(shaker_watch_info, paused);
  FIELD(shaker_watch_info, last);
}

int main(int argc, char **argv) {
  (void)argv;
  SIZE(shaker_request);
  FIELD(shaker_request, addr);
  FIELD(shaker_request, sockaddr);
  FIELD(shaker_request, sockaddr_len);
  FIELD(shaker_request, timeout_ms);
  FIELD(shaker_request, flags);
  FIELD(shaker_request, callback);
  FIELD(shaker_request, user_data);
  FIELD(shaker_request, mark);
  FIELD(shaker_request, reserved);
  SIZE(shaker_result);
  FIELD(shaker_result, id);
  FIELD(shaker_result, user_data);
  FIELD(shaker_result, status);
  FIELD(shaker_result, os_error);
  FIELD(shaker_result, rtt_us);
  FIELD(shaker_result, syn_retransmits);
  FIELD(shaker_result, elapsed_us);
  FIELD(shaker_result, flags);
  FIELD(shaker_result, address);
  FIELD(shaker_result, reserved);
  if (argc > 1) others();
  return 0;
}
