/* The functions that make text: for any number and any bytes, within any buffer. */
#include "target.h"

#include <limits.h>
#include <netdb.h>

static void names(void) {
  EXPECT_EQ(strcmp(shaker_status_name(SHAKER_OK), "SHAKER_OK"), 0);
  EXPECT_EQ(strcmp(shaker_status_name(SHAKER_REFUSED), "SHAKER_REFUSED"), 0);
  EXPECT_EQ(strcmp(shaker_status_name(SHAKER_ERR_INTERNAL), "SHAKER_ERR_INTERNAL"), 0);
  for (int status = -100000; status <= 100000; status++) {
    const char *name = shaker_status_name(status);
    int known = status >= SHAKER_ERR_INTERNAL && status <= SHAKER_UNREACHABLE;
    EXPECT(name != NULL && name == shaker_status_name(status));
    if (name == NULL) continue;
    if (known == (strcmp(name, "SHAKER_UNKNOWN") == 0)) EXPECT_EQ(status, INT_MAX);
    if (known && (strncmp(name, "SHAKER_ERR_", 11) == 0) != (status < 0)) EXPECT_EQ(status, INT_MAX);
  }
  for (int bit = 0; bit < 32; bit++) EXPECT(shaker_status_name((int32_t)(1u << bit)) != NULL);
}

static void statuses(void) {
  const char *unknown = shaker_status_str(INT_MIN);
  EXPECT_EQ(strcmp(unknown, "unknown status"), 0);
  for (int status = -100000; status <= 100000; status++) {
    const char *text = shaker_status_str(status);
    int known = status >= SHAKER_ERR_INTERNAL && status <= SHAKER_UNREACHABLE;
    EXPECT(text != NULL && text[0] != '\0' && text == shaker_status_str(status));
    if (text == NULL) continue;
    if (known == (strcmp(text, "unknown status") == 0)) EXPECT_EQ(status, INT_MAX);
  }
  for (int bit = 0; bit < 32; bit++) EXPECT(shaker_status_str((int32_t)(1u << bit)) != NULL);
  EXPECT_EQ(strcmp(shaker_status_str(INT_MAX), "unknown status"), 0);
  /* Each status has a text of its own. */
  for (int one = SHAKER_ERR_INTERNAL; one <= SHAKER_UNREACHABLE; one++) {
    for (int other = SHAKER_ERR_INTERNAL; other < one; other++) {
      EXPECT(strcmp(shaker_status_str(one), shaker_status_str(other)) != 0);
    }
  }
}

static size_t described(const shaker_result *result, char *buffer, size_t capacity) {
  return shaker_result_describe(result, "example.com:https", buffer, capacity);
}

/* The text in a buffer of every size up to its own and beyond: as snprintf. */
static void in_every_size_by(size_t (*text_of)(const shaker_result *, char *, size_t), const shaker_result *result) {
  char whole[512], expected[512];
  size_t length = text_of(result, whole, sizeof whole);
  EXPECT(length > 0 && length < sizeof whole && strlen(whole) == length);
  if (length >= sizeof whole) return;
  EXPECT(strpbrk(whole, "\r\n") == NULL);
  for (size_t capacity = 0; capacity <= length + 2; capacity++) {
    /* Of this very size, so that a memory checker sees a write beyond it. */
    char *buffer = malloc(capacity > 0 ? capacity : 1);
    NEED(buffer != NULL);
    buffer[0] = 'x';
    EXPECT_EQ(text_of(result, buffer, capacity), length);
    if (capacity == 0) {
      EXPECT_EQ(buffer[0], 'x');
    } else {
      snprintf(expected, capacity, "%s", whole);
      EXPECT_EQ(strcmp(buffer, expected), 0);
    }
    free(buffer);
  }
}

static void in_every_size(const shaker_result *result) {
  in_every_size_by(shaker_result_str, result);
  in_every_size_by(described, result);
  if (result->os_error != 0) in_every_size_by(shaker_result_error_str, result);
}

/* The description of a result is these two texts, one after the other. */
static int is_described(const shaker_result *result, const char *target, const char *before, const char *after) {
  char text[512], expected[512];
  snprintf(expected, sizeof expected, "%s%s", before, after);
  return shaker_result_describe(result, target, text, sizeof text) == strlen(expected) && strcmp(text, expected) == 0;
}

/* What the program asked for is named, unless that is the address which the verdict is about. */
static void targets(void) {
  shaker_result result = {.status = SHAKER_REFUSED, .os_error = ECONNREFUSED, .elapsed_us = 210};
  char text[512];
  result.address.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(80)};
  result.address.in.sin_addr.s_addr = htonl(0xC0000207);
  shaker_result_str(&result, text, sizeof text);
  EXPECT(strstr(text, "192.0.2.7:80 refused") == text);
  EXPECT(is_described(&result, NULL, "", text));
  EXPECT(is_described(&result, "192.0.2.7:80", "", text));
  EXPECT(is_described(&result, "example.com:http", "example.com:http: ", text));
  EXPECT(is_described(&result, "192.0.2.7:8", "192.0.2.7:8: ", text));
  EXPECT(is_described(&result, "", ": ", text));
  EXPECT(is_described(&result, "a\x1b[2J\r\n\x7f\xff:80", "a?[2J????:80: ", text));
  EXPECT(is_described(&result,
                      "b\xc3\xbc"
                      "cher.example:80",
                      "b\xc3\xbc"
                      "cher.example:80: ",
                      text));
  result.address.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(80)};
  shaker_result_str(&result, text, sizeof text);
  EXPECT(is_described(&result, "[::]:80", "", text));
  memset(&result.address, 0, sizeof result.address);
  shaker_result_str(&result, text, sizeof text);
  EXPECT(is_described(&result, "example.com:http", "example.com:http: ", text));
  result.status = 1000;
  EXPECT(is_described(&result, "example.com:http", "example.com:http: ", "unknown status"));
}

/* A text that is too long ends before the first character that does not fit as a whole. */
static void cut(void) {
  static const char *const characters[] = {"\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
  shaker_result result = {.status = SHAKER_REFUSED};
  for (size_t i = 0; i < sizeof characters / sizeof characters[0]; i++) {
    size_t length = strlen(characters[i]);
    for (size_t capacity = 1; capacity <= length + 1; capacity++) {
      char buffer[8], expected[8];
      snprintf(expected, sizeof expected, "%s", capacity > length ? characters[i] : "");
      EXPECT(shaker_result_describe(&result, characters[i], buffer, capacity) > length);
      EXPECT_EQ(strcmp(buffer, expected), 0);
    }
  }
}

static int error_is(shaker_status status, int os_error, const char *expected) {
  shaker_result result = {.status = status, .os_error = os_error};
  char text[512];
  return shaker_result_error_str(&result, text, sizeof text) == strlen(expected) && strcmp(text, expected) == 0;
}

/* The same number is an errno for one status and getaddrinfo's for another. */
static void errors(void) {
  EXPECT(error_is(SHAKER_OK, 0, ""));
  EXPECT(error_is(SHAKER_ERR_RESOLVE, 0, ""));
  EXPECT(error_is(SHAKER_REFUSED, ECONNREFUSED, strerror(ECONNREFUSED)));
  EXPECT(error_is(SHAKER_ERR_LOCAL, EMFILE, strerror(EMFILE)));
  EXPECT(error_is(SHAKER_ERR_BUSY, EMFILE, strerror(EMFILE)));
  EXPECT(error_is(SHAKER_ERR_RESOLVE, EAI_NONAME, gai_strerror(EAI_NONAME)));
  EXPECT(error_is(SHAKER_ERR_RESOLVE, EAI_AGAIN, gai_strerror(EAI_AGAIN)));
  EXPECT(error_is(1000, ECONNREFUSED, strerror(ECONNREFUSED)));
}

/* The flags are in the text of a result that is up, and of no other. */
static void flags(void) {
  shaker_result result = {.flags = SHAKER_HALF_OPEN};
  char text[512];
  shaker_result_str(&result, text, sizeof text);
  EXPECT_EQ(strcmp(text, "up, rtt 0.000 ms, half-open"), 0);
  result.flags = SHAKER_ZERO_WINDOW;
  shaker_result_str(&result, text, sizeof text);
  EXPECT_EQ(strcmp(text, "up, rtt 0.000 ms, not proven half-open, zero window"), 0);
  result.flags |= SHAKER_HALF_OPEN;
  shaker_result_str(&result, text, sizeof text);
  EXPECT_EQ(strcmp(text, "up, rtt 0.000 ms, half-open, zero window"), 0);
  result.status = SHAKER_REFUSED;
  shaker_result_str(&result, text, sizeof text);
  EXPECT_EQ(strcmp(text, "refused"), 0);
}

static void results(void) {
  struct target up = live(AF_INET), down = dead(AF_INET);
  shaker_checker *checker = new_checker();
  shaker_result result;
  char text[512];

  EXPECT_EQ(shaker_check_addr(checker, up.text, 0, &result), SHAKER_OK);
  in_every_size(&result);
  shaker_result_str(&result, text, sizeof text);
  EXPECT(strstr(text, up.text) == text && strstr(text, "up") != NULL);
  EXPECT((strstr(text, ", half-open") != NULL) == ((result.flags & SHAKER_HALF_OPEN) != 0));
  EXPECT(withholds_ack() || (result.flags & SHAKER_HALF_OPEN) == 0);

  /* A slow machine lets an ACK slip out now and then, not every time. */
  UNTIL(!withholds_ack() || (shaker_check_addr(checker, up.text, 0, &result), result.flags & SHAKER_HALF_OPEN));

  EXPECT_EQ(shaker_check_addr(checker, down.text, 0, &result), SHAKER_REFUSED);
  in_every_size(&result);
  shaker_result_str(&result, text, sizeof text);
  EXPECT(strstr(text, down.text) == text && strstr(text, "refused") != NULL);

  EXPECT_EQ(shaker_check_addr(checker, "nowhere", 0, &result), SHAKER_ERR_ADDRESS);
  in_every_size(&result);
  shaker_result_str(&result, text, sizeof text);
  EXPECT(strstr(text, "host:port") != NULL);

  memset(&result, 0, sizeof result);
  in_every_size(&result);
  result.address.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(443), .sin6_scope_id = 7};
  in_every_size(&result);
  result.status = SHAKER_ERR_RESOLVE;
  result.os_error = -2;
  in_every_size(&result);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  close_target(&up);
  close_target(&down);
}

/* Results that no check ever had. */
static void nonsense(void) {
  uint32_t seed = 1;
  for (int round = 0; round < 3000; round++) {
    shaker_result result;
    for (size_t i = 0; i < sizeof result; i++) {
      seed = seed * 1664525u + 1013904223u;
      ((unsigned char *)&result)[i] = (unsigned char)(seed >> 24);
    }
    /* Two thirds have a status and a family that exist. */
    if (round % 3 != 0) result.status = (int)(seed % 15) + SHAKER_ERR_INTERNAL;
    if (round % 3 != 0) result.address.sa.sa_family = round % 2 ? AF_INET : AF_INET6;
    char text[2048];
    size_t length = shaker_result_str(&result, text, sizeof text);
    EXPECT(length > 0 && length < sizeof text && strlen(text) == length);
    char small[16];
    EXPECT_EQ(shaker_result_str(&result, small, sizeof small), length);
    EXPECT_EQ(strncmp(text, small, sizeof small - 1), 0);
    EXPECT(strlen(small) == (length < sizeof small ? length : sizeof small - 1));
    EXPECT(described(&result, text, sizeof text) == strlen(text));
    EXPECT(shaker_result_error_str(&result, text, sizeof text) == strlen(text));
  }
}

int main(void) {
  char version[32];
  snprintf(version, sizeof version, "%d.%d.%d", SHAKER_VERSION_MAJOR, SHAKER_VERSION_MINOR, SHAKER_VERSION_PATCH);
  EXPECT_EQ(strcmp(shaker_version(), version), 0);
  EXPECT(shaker_version() == shaker_version());
#ifndef FORCED_HANDSHAKE
  EXPECT(withholds_ack() && reuses_sockets());
#endif
  names();
  statuses();
  targets();
  cut();
  errors();
  flags();
  results();
  nonsense();
  return outcome();
}
