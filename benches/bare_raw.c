/* bare_raw: the least that a program with CAP_NET_RAW can spend on a half-open check, as a yardstick for the raw engine.
 *
 *   bare_raw ring PORT CHECKS WINDOW   SYNs by sendmmsg on a raw IP socket, answers from an AF_PACKET ring (TPACKET_V3)
 *   bare_raw sock PORT CHECKS WINDOW   the same, answers by recvmmsg on a raw IP socket
 *   bare_raw stop PORT CHECKS WINDOW   sends all, then stops itself with the answers unread, as a stalled host would;
 *                                      send it SIGCONT and look at TcpPassiveOpens: the kernel has reset them all
 *
 * No socket of the kernel's TCP knows these segments, so the kernel answers each SYN-ACK with a RST by itself, at once,
 * whatever this program does: no ACK can ever leave. The source ports are held by sockets that are bound and neither
 * connect nor listen, so that no other socket of this host gets them. An answer is known by its port and by
 * ack == ISN + 1, where the ISN says which check it was.
 *
 * Prints one line: checks per second, µs of wall and CPU time per check. One thread. Run it in a network namespace of
 * its own (unshare -n, ip link set lo up) against a listener that never accepts, in turn with bare_loop.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PORTS = 64, BATCH = 64, SLOTS = 1 << 20, SNAP = 60, BLOCK = 1 << 20, BLOCKS = 16, BUFFER = 64 << 20 };

static uint16_t first_port, target_port;
static uint32_t here;
static uint8_t flying[SLOTS];
static int up, down, in_flight;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static double cpu(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

/* Which check an ISN belongs to, and back: an odd multiplier is invertible modulo 2^32. */
static uint32_t isn_of(uint32_t slot) {
  return slot * 2654435761u;
}
static uint32_t slot_of(uint32_t isn) {
  return isn * 244002641u;
}

static int holds_ports_from(uint16_t base) {
  int held[PORTS], n = 0;
  for (; n < PORTS; n++) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(base + n)};
    held[n] = socket(AF_INET, SOCK_STREAM, 0);
    if (held[n] < 0) die("socket");
    if (bind(held[n], (void *)&own, sizeof own)) {
      for (; n >= 0; n--) close(held[n]);
      return 0;
    }
  }
  first_port = base;
  return 1;
}

static void hold_ports(void) {
  srand(getpid());
  for (int attempt = 0; attempt < 1000; attempt++)
    if (holds_ports_from(1024 + rand() % ((32768 - 1024) / PORTS) * PORTS)) return;
  die("no free ports");
}

static uint16_t checksum(const struct tcphdr *segment) {
  struct {
    uint32_t source, destination;
    uint8_t zero, protocol;
    uint16_t length;
  } pseudo = {here, here, 0, IPPROTO_TCP, htons(sizeof *segment)};
  uint16_t words[16];
  uint32_t sum = 0;
  memcpy(words, &pseudo, 12);
  memcpy(words + 6, segment, 20);
  for (int i = 0; i < 16; i++) sum += words[i];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}

/* Whether this is the answer to a check in flight. */
static int seen(const char *packet) {
  const struct iphdr *ip = (const void *)packet;
  const struct tcphdr *tcp = (const void *)(packet + ip->ihl * 4);
  uint32_t slot = slot_of(ntohl(tcp->ack_seq) - 1);
  if (slot >= SLOTS || !flying[slot]) return 0;
  if ((uint16_t)(ntohs(tcp->dest) - first_port) >= PORTS || ntohs(tcp->source) != target_port) return 0;
  flying[slot] = 0;
  in_flight--;
  if (tcp->syn && tcp->ack) up++;
  else down++;
  return 1;
}

static int sender(void) {
  struct sock_filter nothing[] = {{BPF_RET | BPF_K, 0, 0, 0}}; /* it hears no segment */
  struct sock_fprog deaf = {1, nothing};
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_TCP), big = BUFFER;
  if (fd < 0) die("raw socket");
  setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &deaf, sizeof deaf);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof big);
  return fd;
}

/* Hears TCP to our ports: SYN and ACK, or RST. Offset 0 is the IP header. */
static int receiver(int ring) {
  struct sock_filter ours[] = {
    {BPF_LD | BPF_B | BPF_ABS, 0, 0, 9},
    {BPF_JMP | BPF_JEQ | BPF_K, 0, 8, IPPROTO_TCP},
    {BPF_LDX | BPF_B | BPF_MSH, 0, 0, 0},
    {BPF_LD | BPF_H | BPF_IND, 0, 0, 2},
    {BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xffff & ~(PORTS - 1)},
    {BPF_JMP | BPF_JEQ | BPF_K, 0, 4, first_port},
    {BPF_LD | BPF_B | BPF_IND, 0, 0, 13},
    {BPF_ALU | BPF_AND | BPF_K, 0, 0, 0x16}, /* ACK, RST, SYN */
    {BPF_JMP | BPF_JSET | BPF_K, 0, 1, 0x14},
    {BPF_RET | BPF_K, 0, 0, SNAP},
    {BPF_RET | BPF_K, 0, 0, 0},
  };
  struct sock_fprog filter = {sizeof ours / sizeof *ours, ours};
  int fd = ring ? socket(AF_PACKET, SOCK_DGRAM, 0) : socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_TCP);
  int big = BUFFER;
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter)) die("receiver");
  if (!ring) setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big);
  return fd;
}

static char *ring_of(int fd) {
  int version = TPACKET_V3, one = 1;
  struct tpacket_req3 request = {
    .tp_block_size = BLOCK,
    .tp_block_nr = BLOCKS,
    .tp_frame_size = 2048,
    .tp_frame_nr = BLOCK / 2048 * BLOCKS,
    .tp_retire_blk_tov = 1,
  };
  struct sockaddr_ll any = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
  if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version)) die("ring: version");
  if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one)) die("ring: outgoing");
  if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request)) die("ring");
  if (bind(fd, (void *)&any, sizeof any)) die("ring: bind");
  char *map = mmap(NULL, (size_t)BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) die("mmap");
  return map;
}

/* Reads all blocks that the kernel has filled; returns how many answers were in them. */
static int read_ring(char *map) {
  static unsigned block;
  int answers = 0;
  for (;; block = (block + 1) % BLOCKS) {
    struct tpacket_block_desc *filled = (void *)(map + (size_t)block * BLOCK);
    if (!(__atomic_load_n(&filled->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) return answers;
    const char *at = (char *)filled + filled->hdr.bh1.offset_to_first_pkt;
    for (unsigned i = 0; i < filled->hdr.bh1.num_pkts; i++) {
      const struct tpacket3_hdr *packet = (const void *)at;
      answers += seen(at + packet->tp_net);
      at += packet->tp_next_offset;
    }
    __atomic_store_n(&filled->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  }
}

/* Reads one batch; returns how many answers were in it. */
static int read_socket(int fd) {
  static char packets[BATCH][SNAP];
  static struct iovec vectors[BATCH];
  static struct mmsghdr messages[BATCH];
  for (int i = 0; i < BATCH && !vectors[i].iov_base; i++) {
    vectors[i] = (struct iovec){packets[i], SNAP};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  int answers = 0, got = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
  for (int i = 0; i < got; i++) answers += seen(packets[i]);
  return answers;
}

/* Sends so many SYNs, at most BATCH. */
static void send_syns(int fd, int count) {
  static uint32_t next;
  static struct tcphdr syns[BATCH];
  static struct iovec vectors[BATCH];
  static struct mmsghdr messages[BATCH];
  static struct sockaddr_in to;
  to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = here};
  for (int i = 0; i < count; i++) {
    while (flying[next % SLOTS]) next++;
    uint32_t slot = next++ % SLOTS;
    flying[slot] = 1;
    syns[i] = (struct tcphdr){
      .source = htons(first_port + slot % PORTS),
      .dest = htons(target_port),
      .seq = htonl(isn_of(slot)),
      .doff = 5,
      .syn = 1,
      .window = htons(64240),
    };
    syns[i].check = checksum(&syns[i]);
    vectors[i] = (struct iovec){&syns[i], sizeof syns[i]};
    messages[i].msg_hdr =
      (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  for (int sent = 0; sent < count;) {
    int more = sendmmsg(fd, messages + sent, count - sent, 0);
    if (more < 0) die("sendmmsg");
    sent += more;
  }
  in_flight += count;
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: bare_raw ring|sock|stop PORT CHECKS WINDOW\n");
    return 2;
  }
  int ring = !strcmp(argv[1], "ring"), stop = !strcmp(argv[1], "stop"), checks = atoi(argv[3]), window = atoi(argv[4]);
  if (window < 1 || window > SLOTS) die("WINDOW out of range");
  target_port = atoi(argv[2]);
  here = htonl(INADDR_LOOPBACK);
  hold_ports();
  int tx = sender(), rx = receiver(ring), sent = 0;
  char *map = ring ? ring_of(rx) : NULL;
  double wall = now(), used = cpu(), last = wall;
  while (up + down < checks) {
    int next = window - in_flight < checks - sent ? window - in_flight : checks - sent;
    if (next > BATCH) next = BATCH;
    send_syns(tx, next);
    sent += next;
    if (stop) {
      if (sent < checks && in_flight < window) continue;
      raise(SIGSTOP);
      stop = 0;
    }
    if (map ? read_ring(map) : read_socket(rx)) {
      last = now();
    } else if (!next) {
      struct pollfd wait = {rx, POLLIN, 0};
      poll(&wait, 1, 100);
      if (now() - last > 5) {
        fprintf(stderr, "stalled after %d\n", up + down);
        return 1;
      }
    }
  }
  wall = now() - wall;
  used = cpu() - used;
  printf("raw-%s window=%d checks=%d up=%d per_second=%.0f wall_us=%.2f cpu_us=%.2f\n", argv[1], window, checks, up,
         checks / wall, wall / checks * 1e6, used / checks * 1e6);
  return 0;
}
