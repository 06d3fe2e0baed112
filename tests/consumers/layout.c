/* The layout of the structs as C has it, a line for each, to be compared with what a binding declares. */
#include <stdio.h>

#include <tcpshaker.h>

#define SIZE(type) printf("%s %zu\n", #type, sizeof(type))
#define FIELD(type, field) printf("%s.%s %zu\n", #type, #field, offsetof(type, field))

int main(void) {
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
  return 0;
}
