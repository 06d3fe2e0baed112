/* Arguments that are not NULL and still wrong: what is refused is refused whole, and what is only a bad address
 * spoils nothing but its own check. */
#include "target.h"

#include <netinet/in.h>

static const uint64_t UNTOUCHED = 0xAAAAAAAAAAAAAAAAu;

static struct target up;
static shaker_checker *checker;

static void never(const shaker_result *result, void *user_data) {
  (void)user_data;
  (void)result;
  EXPECT(!"a callback of a refused batch is called");
}

/* A blocking call says INVALID, and its result too; a batch with one such request is refused whole. */
static void refused(const char *what, shaker_request bad, int line) {
  int before = failures;
  uint64_t submitted = stats_of(checker).submitted;
  shaker_result result;
  memset(&result, 0xAA, sizeof result);
  EXPECT_EQ(shaker_check(checker, &bad, &result), SHAKER_ERR_INVALID);
  EXPECT_EQ(result.status, SHAKER_ERR_INVALID);
  EXPECT(result.user_data == bad.user_data);
  EXPECT(result.id == 0 && result.os_error == 0 && result.rtt_us == 0 && result.syn_retransmits == 0);
  EXPECT(result.elapsed_us == 0 && result.flags == 0 && result.reserved == 0);
  EXPECT_EQ(result.address.sa.sa_family, AF_UNSPEC);
  EXPECT_EQ(shaker_check(checker, &bad, NULL), SHAKER_ERR_INVALID);

  for (int place = 0; place < 3; place++) {
    shaker_request batch[3] = {ask(&up, 0), ask(&up, 0), ask(&up, 0)};
    shaker_result results[3];
    uint64_t ids[3] = {UNTOUCHED, UNTOUCHED, UNTOUCHED};
    memset(results, 0xAA, sizeof results);
    batch[place] = bad;
    EXPECT_EQ(shaker_check_many(checker, batch, 3, results), SHAKER_ERR_INVALID);
    for (size_t i = 0; i < sizeof results; i++) EXPECT(((unsigned char *)results)[i] == 0xAA);
    batch[(place + 1) % 3].callback = never;
    EXPECT_EQ(shaker_submit(checker, batch, 3, ids), SHAKER_ERR_INVALID);
    EXPECT(ids[0] == UNTOUCHED && ids[1] == UNTOUCHED && ids[2] == UNTOUCHED);
  }
  EXPECT_EQ(shaker_reap(checker, &result, 1, 0), 0);
  EXPECT_EQ(stats_of(checker).submitted, submitted);
  if (failures != before) fprintf(stderr, "  which concerns line %d, %s\n", line, what);
}

#define REFUSED(what, ...)                        \
  do {                                            \
    shaker_request request = {0};                 \
    request.addr = up.text;                       \
    request.user_data = &up;                      \
    __VA_ARGS__;                                  \
    refused(what, request, __LINE__);             \
  } while (0)

static void requests(void) {
  for (int bit = 4; bit < 32; bit++) REFUSED("an unknown flag", request.flags = 1u << bit);
  REFUSED("every flag", request.flags = UINT32_MAX);
  REFUSED("a known flag and an unknown one", request.flags = SHAKER_LINGER | 1u << 20);
  REFUSED("both families", request.flags = SHAKER_IPV4 | SHAKER_IPV6);
  REFUSED("the first reserved field", request.reserved[0] = 1);
  REFUSED("the last reserved field", request.reserved[2] = 1u << 31);
  REFUSED("two targets", (request.sockaddr = &up.address.sa, request.sockaddr_len = up.length));
  REFUSED("no target", request.addr = NULL);

  shaker_request request = ask(&up, 0);
  request.callback = never;
  EXPECT_EQ(shaker_check(checker, &request, NULL), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_check_many(checker, &request, 1, NULL), SHAKER_ERR_INVALID);

  /* More requests than memory has room for; the array is not even looked at. */
  EXPECT_EQ(shaker_submit(checker, &request, SIZE_MAX, NULL), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_check_many(checker, &request, SIZE_MAX / sizeof request, NULL), SHAKER_ERR_INVALID);
}

/* A socket address in exactly as many bytes as are claimed, so that a memory checker sees a read beyond them. */
static void *cut(const void *address, size_t size) {
  void *copy = malloc(size > 0 ? size : 1);
  NEED(copy != NULL);
  memcpy(copy, address, size);
  return copy;
}

static void lengths(void) {
  struct sockaddr_in in = up.address.in;
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = in.sin_port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  struct {
    const void *address;
    size_t size;
    socklen_t claimed;
  } impossible[] = {
    {&in, 0, 0},
    {&in, 1, 1},
    {&in, 2, 2},
    {&in, sizeof in - 1, sizeof in - 1},
    {&in6, 2, 2},
    {&in6, sizeof(struct sockaddr_in), sizeof(struct sockaddr_in)},
    {&in6, sizeof in6 - 1, sizeof in6 - 1},
    {&in, sizeof in, sizeof(struct sockaddr_storage) + 1},
    {&in6, sizeof in6, sizeof(struct sockaddr_storage) + 1},
    {&in, sizeof in, 1u << 31},
    {&in, sizeof in, UINT32_MAX},
  };
  for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
    struct sockaddr *address = cut(impossible[i].address, impossible[i].size);
    socklen_t claimed = impossible[i].claimed;
    shaker_result result;
    memset(&result, 0xAA, sizeof result);
    EXPECT_EQ(shaker_check_sockaddr(checker, address, claimed, 0, &result), SHAKER_ERR_INVALID);
    EXPECT_EQ(result.status, SHAKER_ERR_INVALID);
    REFUSED("an impossible length", (request.addr = NULL, request.sockaddr = address, request.sockaddr_len = claimed));
    free(address);
  }

  /* As long as it needs, and as long as it may be. */
  struct sockaddr *exact = cut(&in, sizeof in);
  EXPECT_EQ(shaker_check_sockaddr(checker, exact, sizeof in, 0, NULL), SHAKER_OK);
  free(exact);
  struct sockaddr_storage storage;
  memset(&storage, 0xAA, sizeof storage);
  memcpy(&storage, &in, sizeof in);
  EXPECT_EQ(shaker_check_sockaddr(checker, (struct sockaddr *)&storage, sizeof storage, 0, NULL), SHAKER_OK);
}

/* One check on its own, and the same as the second of three submitted ones. */
static void bad_address(const shaker_request *request, shaker_status expected) {
  shaker_result result;
  memset(&result, 0xAA, sizeof result);
  EXPECT_EQ(shaker_check(checker, request, &result), expected);
  EXPECT_EQ(result.status, expected);
  EXPECT_EQ(result.address.sa.sa_family, AF_UNSPEC);

  shaker_request batch[3] = {ask(&up, 0), *request, ask(&up, 0)};
  shaker_result results[3];
  EXPECT_EQ(shaker_check_many(checker, batch, 3, results), SHAKER_OK);
  EXPECT(results[0].status == SHAKER_OK && results[2].status == SHAKER_OK);
  EXPECT_EQ(results[1].status, expected);

  uint64_t ids[3] = {0, 0, 0};
  EXPECT_EQ(shaker_submit(checker, batch, 3, ids), SHAKER_OK);
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(shaker_reap(checker, &result, 1, UINT32_MAX), 1);
    EXPECT_EQ(result.status, result.id == ids[1] ? expected : SHAKER_OK);
  }
  EXPECT_EQ(shaker_reap(checker, &result, 1, 0), 0);
}

static void addresses(void) {
  char long_name[300];
  memset(long_name, 'a', sizeof long_name);
  memcpy(long_name + sizeof long_name - 4, ":80", 4);
  const char *malformed[] = {"",        ":",       "127.0.0.1", "127.0.0.1:",    "127.0.0.1:0", "127.0.0.1:65536",
                             "[]:80",   "::1",     "::1:80",    "[::1]",         "[::1",        "127.0.0.1:-1",
                             "[::1:80", "[::1]80", long_name,   "\xff\xfe:80x y"};
  for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
    shaker_request request = {0};
    request.addr = malformed[i];
    int before = failures;
    bad_address(&request, SHAKER_ERR_ADDRESS);
    EXPECT_EQ(shaker_check_addr(checker, malformed[i], 0, NULL), SHAKER_ERR_ADDRESS);
    if (failures != before) fprintf(stderr, "  which concerns the address \"%s\"\n", malformed[i]);
  }

  int families[] = {AF_UNSPEC, AF_UNIX, AF_NETLINK, AF_PACKET, 255, 65535};
  for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
    /* An unknown family of the least and the greatest length. */
    struct sockaddr_storage storage = {.ss_family = (sa_family_t)families[i]};
    shaker_request request = {0};
    request.sockaddr = (struct sockaddr *)&storage;
    request.sockaddr_len = sizeof storage;
    bad_address(&request, SHAKER_ERR_ADDRESS);
    struct sockaddr *least = cut(&storage, sizeof storage.ss_family);
    EXPECT_EQ(shaker_check_sockaddr(checker, least, sizeof storage.ss_family, 0, NULL), SHAKER_ERR_ADDRESS);
    free(least);
  }

  struct sockaddr_in without_port = up.address.in;
  without_port.sin_port = 0;
  shaker_request request = {0};
  request.sockaddr = (struct sockaddr *)&without_port;
  request.sockaddr_len = sizeof without_port;
  bad_address(&request, SHAKER_ERR_ADDRESS);

  shaker_request other_family = ask(&up, 0);
  other_family.flags = SHAKER_IPV6;
  bad_address(&other_family, SHAKER_ERR_ADDRESS);
}

static void flags_that_go_together(void) {
  const uint32_t known[] = {0, SHAKER_FULL_HANDSHAKE, SHAKER_LINGER, SHAKER_IPV4};
  for (int bits = 0; bits < 8; bits++) {
    shaker_request request = ask(&up, UINT32_MAX);
    for (int i = 0; i < 3; i++) request.flags |= bits >> i & 1 ? known[i + 1] : 0;
    int unsupported =
      shaker_checker_engine(checker) == SHAKER_ENGINE_RAW && request.flags & (SHAKER_FULL_HANDSHAKE | SHAKER_LINGER);
    EXPECT_EQ(shaker_check(checker, &request, NULL), unsupported ? SHAKER_ERR_UNSUPPORTED : SHAKER_OK);
  }
}

static void settings(void) {
  shaker_config *config = new_config();
  EXPECT_EQ(shaker_config_set_threads(config, 257), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_threads(config, UINT32_MAX), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_threads(config, 256), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_threads(config, 0), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_threads(config, 2), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_timeout(config, UINT32_MAX), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_timeout(config, 150), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_timeout(config, 0), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_max_rate(config, UINT32_MAX), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_max_rate(config, 0), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_max_lookups(config, 0), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_max_lookups(config, 1025), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_max_lookups(config, 1024), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_max_in_flight(config, 0), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_max_in_flight(config, UINT32_MAX), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_max_in_flight(config, 100), SHAKER_OK);

  const int no_families[] = {-1, AF_UNIX, AF_PACKET, 255, 65536 + AF_INET};
  for (size_t i = 0; i < sizeof no_families / sizeof *no_families; i++) {
    EXPECT_EQ(shaker_config_set_family(config, no_families[i]), SHAKER_ERR_INVALID);
  }
  EXPECT_EQ(shaker_config_set_family(config, AF_INET6), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_family(config, AF_UNSPEC), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_family(config, AF_INET), SHAKER_OK);

  const char *no_sources[] = {"",    " ",     "localhost",  "127.0.0.1:80", "127.0.0", "127.0.0.256", "1",
                              "::g", "[::1]", "127.0.0.1 ", "224.0.0.1",    "ff02::1", "\xff\xff"};
  EXPECT_EQ(shaker_config_set_source(config, "::1"), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_source(config, "127.0.0.9"), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_source(config, "127.0.0.1"), SHAKER_OK);
  for (size_t i = 0; i < sizeof no_sources / sizeof *no_sources; i++) {
    EXPECT_EQ(shaker_config_set_source(config, no_sources[i]), SHAKER_ERR_INVALID);
  }

  const char *no_interfaces[] = {"", "sixteen-letters-", "a/b", "a b", ".", "..", "\xff\xff"};
  for (size_t i = 0; i < sizeof no_interfaces / sizeof *no_interfaces; i++) {
    int before = failures;
    EXPECT_EQ(shaker_config_set_interface(config, no_interfaces[i]), SHAKER_ERR_INVALID);
    if (failures != before) fprintf(stderr, "  which concerns the interface \"%s\"\n", no_interfaces[i]);
  }
  const int32_t no_engines[] = {-1, 3, INT32_MIN, INT32_MAX};
  for (size_t i = 0; i < sizeof no_engines / sizeof *no_engines; i++) {
    EXPECT_EQ(shaker_config_set_engine(config, no_engines[i]), SHAKER_ERR_INVALID);
  }
  EXPECT_EQ(shaker_config_set_engine(config, SHAKER_ENGINE_RAW), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_engine(config, SHAKER_ENGINE_AUTO), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_engine(config, SHAKER_ENGINE_SOCKET), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_engine(config, 3), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_tos(config, 0), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_zero_linger(config, true), SHAKER_OK);

  /* What was refused has changed nothing: the checker made from this has the last good value of each. */
  shaker_checker *limited = NULL;
  EXPECT_EQ(shaker_checker_new(config, &limited), SHAKER_OK);
  EXPECT_EQ(shaker_checker_engine(limited), SHAKER_ENGINE_SOCKET);
  shaker_config_free(config); /* a checker does not need its configuration any more */
  struct target mute = silent();
  shaker_result result;
  EXPECT_EQ(shaker_check_addr(limited, mute.text, 0, &result), SHAKER_TIMEOUT);
  EXPECT(result.elapsed_us >= 150 * 1000 && result.elapsed_us < PATIENCE_MS * 1000ull);
  EXPECT_EQ(shaker_check_addr(limited, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check_addr(limited, "[::1]:80", 0, NULL), SHAKER_ERR_ADDRESS);
  EXPECT_EQ(shaker_checker_free(limited), SHAKER_OK);
  close_target(&mute);
}

static void the_default_checker(void) {
  shaker_checker *shared = shaker_checker_default();
  EXPECT(shared != NULL && shared == shaker_checker_default());
  EXPECT_EQ(shaker_checker_free(shared), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_check_addr(shared, up.text, PATIENCE_MS, NULL), SHAKER_OK);
}

int main(void) {
  up = live(AF_INET);
  checker = new_checker();
  requests();
  lengths();
  addresses();
  flags_that_go_together();
  settings();
  the_default_checker();
  EXPECT_EQ(shaker_check_addr(checker, up.text, 0, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  close_target(&up);
  return outcome();
}
