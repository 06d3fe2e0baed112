// The example leaves nothing behind, its structs, and what its descriptor says.
//
//     node test.mjs LIVE DEAD SILENT
//
// Prints the layout of the structs last, to be compared with C's.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { isDeepStrictEqual, promisify } from 'node:util';
import koffi from 'koffi';

const LIBRARY = 'libtcpshaker.so.0.1';
const silent = process.argv[4];

const threadsAndDescriptors = () => ['task', 'fd'].map((list) => fs.readdirSync(`/proc/self/${list}`).length);
const isMapped = () => fs.readFileSync('/proc/self/maps', 'utf8').includes(LIBRARY);

// Worker threads that Node starts when they are first needed are to be there before anything is counted.
async function startWorkers() {
  const sleep = promisify(koffi.load(null).func('int usleep(unsigned int microseconds)').async);
  await Promise.all(Array.from({ length: 64 }, () => sleep(5000)));
}

// The kernel lists a thread for a moment longer than it runs.
async function nothingMoreThan(before) {
  const deadline = Date.now() + 10000;
  while (!isDeepStrictEqual(threadsAndDescriptors(), before) && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.deepEqual(threadsAndDescriptors(), before, 'a thread or a descriptor is left');
}

async function theDescriptorIsReadableExactlyWhileResultsWait() {
  const library = koffi.load(LIBRARY);
  const checkerNew = library.func('int32_t shaker_checker_new(void *config, _Out_ shaker_checker **checker)');
  const checkerFree = library.func('int32_t shaker_checker_free(shaker_checker *checker)');
  const submit = library.func('int32_t shaker_submit(shaker_checker *, shaker_request *, size_t count, uint64_t *ids)');
  const reap = library.func('size_t shaker_reap(shaker_checker *, void *results, size_t capacity, uint32_t wait_ms)');
  const checkerFd = library.func('int shaker_checker_fd(shaker_checker *checker)');
  const poll = promisify(koffi.load(null).func('int poll(_Inout_ pollfd *, unsigned long count, int ms)').async);

  const out = [null];
  assert.equal(checkerNew(null, out), 0);
  const [checker] = out;
  const readable = async (ms) => (await poll([{ fd: checkerFd(checker), events: 1, revents: 0 }], 1, ms)) === 1;
  const result = Buffer.alloc(koffi.sizeof('shaker_result'));

  assert(!(await readable(0)), 'readable before anything was submitted');
  assert.equal(submit(checker, [{ addr: silent, timeout_ms: 2000 }], 1, null), 0);
  assert(!(await readable(0)), 'readable before the result is there');
  let turns = 0;
  const timer = setInterval(() => turns++, 10);
  assert(await readable(60000), 'not readable though the result must be there');
  clearInterval(timer);
  assert(turns > 10, `the event loop had ${turns} turns while the descriptor was waited for`);
  assert.equal(reap(checker, result, 1, 0), 1);
  assert(koffi.decode(result, 'shaker_result').status > 0, 'a silent target is up');
  assert(!(await readable(0)), 'readable after all was reaped');

  checkerFree(checker);
  library.unload();
}

function printLayout(type) {
  console.log(`${type} ${koffi.sizeof(type)}`);
  for (const field of Object.keys(koffi.type(type).members)) {
    console.log(`${type}.${field} ${koffi.offsetof(type, field)}`);
  }
}

assert(!isMapped(), 'the library is there before it is loaded');
await startWorkers();
const before = threadsAndDescriptors();
await import('./check.mjs');
await nothingMoreThan(before);
assert(!isMapped(), 'the library is still there after it was unloaded');
await theDescriptorIsReadableExactlyWhileResultsWait();
await nothingMoreThan(before);
assert(!isMapped(), 'the library is still there after it was unloaded');
printLayout('shaker_request');
printLayout('shaker_result');
