/* forger: an attacker who sees every SYN on loopback but for its sequence number, and answers each with lies.
 *
 *   forger FIRST TIMES
 *
 * For each SYN to 127.FIRST.0.0/16, TIMES segments to where it came from, as if from where it went: SYN-ACKs, RSTs and
 * ACKs that acknowledge a random number, SYN-ACKs that would be right for the SYN before this one, and ICMP errors that
 * quote a random number. Prints how many, once its standard input is closed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 64 << 20 };

struct segment {
  struct iphdr ip;
  struct tcphdr tcp;
};

struct icmp_error {
  struct iphdr ip;
  struct icmphdr icmp;
  struct segment quoted;
};

static void die(const char *what) {
  perror(what);
  exit(1);
}

static uint32_t at_random(void) {
  static uint64_t state = 88172645463325252ull;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 16);
}

static uint32_t sum(const void *data, size_t size, uint32_t sum) {
  const char *bytes = data;
  for (size_t i = 0; i + 1 < size; i += 2) {
    uint16_t word;
    memcpy(&word, bytes + i, sizeof word);
    sum += word;
  }
  return sum;
}

static uint16_t folded(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static struct iphdr ip_header(uint32_t source, uint32_t destination, uint8_t protocol, size_t size) {
  return (struct iphdr){
    .version = 4,
    .ihl = 5,
    .tot_len = htons((uint16_t)size),
    .ttl = 64,
    .protocol = protocol,
    .saddr = source,
    .daddr = destination,
  };
}

static void send_from(int fd, const void *packet, size_t size, uint32_t destination) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = destination};
  if (sendto(fd, packet, size, 0, (struct sockaddr *)&to, sizeof to) < 0) die("sendto");
}

static void answer(int fd, const struct segment *syn, int is_syn, int is_rst, uint32_t acknowledged) {
  struct segment lie = {.ip = ip_header(syn->ip.daddr, syn->ip.saddr, IPPROTO_TCP, sizeof lie)};
  lie.tcp = (struct tcphdr){
    .source = syn->tcp.dest,
    .dest = syn->tcp.source,
    .seq = at_random(),
    .ack_seq = acknowledged,
    .doff = 5,
    .syn = is_syn,
    .rst = is_rst,
    .ack = 1,
    .window = htons(65160),
  };
  uint32_t pseudo = sum(&lie.ip.saddr, 8, htons(IPPROTO_TCP) + htons(sizeof lie.tcp));
  lie.tcp.check = folded(sum(&lie.tcp, sizeof lie.tcp, pseudo));
  send_from(fd, &lie, sizeof lie, syn->ip.saddr);
}

static void complain(int fd, const struct segment *syn) {
  struct icmp_error lie = {.ip = ip_header(syn->ip.daddr, syn->ip.saddr, IPPROTO_ICMP, sizeof lie), .quoted = *syn};
  lie.icmp = (struct icmphdr){.type = ICMP_DEST_UNREACH, .code = ICMP_HOST_UNREACH};
  lie.quoted.tcp.seq = at_random();
  lie.icmp.checksum = folded(sum(&lie.icmp, sizeof lie.icmp + sizeof lie.quoted, 0));
  send_from(fd, &lie, sizeof lie, syn->ip.saddr);
}

static void lie_about(int fd, const struct segment *syn, int times) {
  static uint32_t of_another;
  static unsigned kind;
  for (int i = 0; i < times; i++) {
    switch (kind++ % 10) {
    case 6: answer(fd, syn, 1, 0, htonl(ntohl(of_another) + 1)); break;
    case 7: answer(fd, syn, 0, 1, at_random()); break;
    case 8: answer(fd, syn, 0, 0, at_random()); break;
    case 9: complain(fd, syn); break;
    default: answer(fd, syn, 1, 0, at_random()); break;
    }
  }
  of_another = syn->tcp.seq;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: forger FIRST TIMES\n");
    return 2;
  }
  uint32_t network = (127u << 24) | (uint32_t)atoi(argv[1]) << 16;
  int times = atoi(argv[2]), big = BUFFER;
  long syns = 0;
  int ears = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)), mouth = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (ears < 0 || mouth < 0) die("socket");
  if (setsockopt(ears, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big)) die("buffer");
  struct pollfd waits[] = {{ears, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  printf("ready\n");
  fflush(stdout);
  while (poll(waits, 2, -1) > 0 && !waits[1].revents) {
    for (;;) {
      struct sockaddr_ll from;
      socklen_t length = sizeof from;
      struct segment seen;
      if (recvfrom(ears, &seen, sizeof seen, MSG_DONTWAIT, (struct sockaddr *)&from, &length) < (int)sizeof seen) break;
      if (from.sll_pkttype == PACKET_OUTGOING || seen.ip.protocol != IPPROTO_TCP || seen.ip.ihl != 5) continue;
      if (!seen.tcp.syn || seen.tcp.ack || (ntohl(seen.ip.daddr) & 0xffff0000) != network) continue;
      lie_about(mouth, &seen, times);
      syns++;
    }
  }
  printf("syns=%ld forged=%ld\n", syns, syns * times);
  return 0;
}
