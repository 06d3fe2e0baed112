// Checks TCP ports with libtcpshaker from Node: the first one with a blocking call, then all of them at once, waiting
// on the checker's descriptor. Neither holds up the event loop.
//
//     node check.mjs host:port...
import { promisify } from 'node:util';
import koffi from 'koffi';

const library = koffi.load(process.env.TCPSHAKER_LIBRARY ?? 'libtcpshaker.so.0.1');

koffi.opaque('shaker_checker');
const Request = koffi.struct('shaker_request', {
  addr: 'const char *',
  sockaddr: 'void *',
  sockaddr_len: 'uint32_t',
  timeout_ms: 'uint32_t',
  flags: 'uint32_t',
  callback: 'void *',
  user_data: 'void *',
  mark: 'uint32_t',
  reserved: koffi.array('uint32_t', 3),
});
const Result = koffi.struct('shaker_result', {
  id: 'uint64_t',
  user_data: 'void *',
  status: 'int32_t',
  os_error: 'int32_t',
  rtt_us: 'uint32_t',
  syn_retransmits: 'uint32_t',
  elapsed_us: 'uint64_t',
  flags: 'uint32_t',
  address: koffi.array('uint32_t', 7),
  reserved: 'uint64_t',
});
const RESULT = koffi.sizeof(Result);

const statusText = library.func('const char *shaker_status_str(int32_t status)');
const checkerNew = library.func('int32_t shaker_checker_new(void *config, _Out_ shaker_checker **checker)');
const checkerFree = library.func('int32_t shaker_checker_free(shaker_checker *checker)');
const checkAddr = library.func('int32_t shaker_check_addr(shaker_checker *, str addr, uint32_t ms, void *result)');
const submit = library.func('int32_t shaker_submit(shaker_checker *, shaker_request *, size_t count, uint64_t *ids)');
const reap = library.func('size_t shaker_reap(shaker_checker *, void *results, size_t capacity, uint32_t wait_ms)');
const checkerFd = library.func('int shaker_checker_fd(shaker_checker *checker)');
const resultText = library.func('size_t shaker_result_str(void *result, _Out_ uint8_t *buffer, size_t capacity)');

// Node itself watches only sockets, pipes and terminals. poll(2) on one of its worker threads watches any descriptor,
// and leaves it unread.
koffi.struct('pollfd', { fd: 'int', events: 'short', revents: 'short' });
const poll = promisify(koffi.load(null).func('int poll(_Inout_ pollfd *, unsigned long count, int timeout_ms)').async);
const POLLIN = 1;

function must(status) {
  if (status !== 0) throw new Error(statusText(status));
}

function text(result) {
  const buffer = Buffer.alloc(256);
  return buffer.toString('utf8', 0, resultText(result, buffer, buffer.length));
}

// The sign rule: 0 is up, positive is down, negative says nothing about the target.
function verdict(status) {
  return status === 0 ? 'up' : status > 0 ? 'down' : 'no verdict';
}

function submitAll(checker, targets) {
  // Fields that are not named are 0. A user_data of 0 would come back as null.
  const requests = targets.map((addr, i) => ({ addr, timeout_ms: 1000, user_data: i + 1 }));
  must(submit(checker, requests, requests.length, null));
}

async function reapAll(checker, targets) {
  const results = Buffer.alloc(64 * RESULT);
  for (let left = targets.length; left > 0; ) {
    await poll([{ fd: checkerFd(checker), events: POLLIN, revents: 0 }], 1, -1);
    const count = reap(checker, results, 64, 0);
    for (let i = 0; i < count; i++) {
      const raw = results.subarray(i * RESULT, (i + 1) * RESULT);
      const { status, user_data } = koffi.decode(raw, Result);
      console.log(`${targets[Number(user_data) - 1]}: ${verdict(status)} (${text(raw)})`);
    }
    left -= count;
  }
}

const targets = process.argv.slice(2);
if (targets.length === 0) throw new Error('usage: node check.mjs host:port...');
const out = [null];
must(checkerNew(null, out));
const [checker] = out;
const result = Buffer.alloc(RESULT);
await promisify(checkAddr.async)(checker, targets[0], 1000, result);
console.log(`blocking: ${text(result)}`);
submitAll(checker, targets);
await reapAll(checker, targets);
checkerFree(checker);
library.unload(); // or never: a checker that was freed leaves nothing running
