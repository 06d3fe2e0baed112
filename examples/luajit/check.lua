-- Checks TCP ports with libtcpshaker from LuaJIT: the first one blocking, then all of them at once, waiting on the
-- checker's descriptor.
--
--     luajit check.lua host:port...
local ffi = require("ffi")

ffi.cdef [[
typedef struct shaker_checker shaker_checker;
typedef struct {
  const char *addr;
  const void *sockaddr;
  uint32_t sockaddr_len, timeout_ms, flags;
  void (*callback)(const void *result, void *user_data);
  void *user_data;
  uint32_t mark, reserved[3];
} shaker_request;
typedef struct {
  uint64_t id;
  void *user_data;
  int32_t status, os_error;
  uint32_t rtt_us, syn_retransmits;
  uint64_t elapsed_us;
  uint32_t flags, address[7];
  uint64_t reserved;
} shaker_result;
const char *shaker_version(void);
const char *shaker_status_str(int32_t status);
int32_t shaker_checker_new(const void *config, shaker_checker **checker);
int32_t shaker_checker_free(shaker_checker *checker);
int32_t shaker_check_addr(shaker_checker *checker, const char *addr, uint32_t timeout_ms, shaker_result *result);
int32_t shaker_submit(shaker_checker *checker, const shaker_request *requests, size_t count, uint64_t *ids);
size_t shaker_reap(shaker_checker *checker, shaker_result *results, size_t capacity, uint32_t wait_ms);
int shaker_checker_fd(const shaker_checker *checker);
size_t shaker_result_str(const shaker_result *result, char *buffer, size_t capacity);

struct pollfd { int fd; short events, revents; };
int poll(struct pollfd *descriptors, unsigned long count, int timeout_ms);
]]
local POLLIN = 1

local shaker = ffi.load(os.getenv("TCPSHAKER_LIBRARY") or "libtcpshaker.so.0.1")

local function must(status)
  if status ~= 0 then error(ffi.string(shaker.shaker_status_str(status)), 2) end
end

local function new_checker()
  local out = ffi.new("shaker_checker *[1]")
  must(shaker.shaker_checker_new(nil, out))
  -- A function of Lua's, not the library's own: it keeps the library loaded until the checker is collected.
  return ffi.gc(out[0], function(checker) shaker.shaker_checker_free(checker) end)
end

local function text(result)
  local buffer = ffi.new("char[256]")
  shaker.shaker_result_str(result, buffer, 256)
  return ffi.string(buffer)
end

-- The sign rule: 0 is up, positive is down, negative says nothing about the target.
local function verdict(result)
  return result.status == 0 and "up" or result.status > 0 and "down" or "no verdict"
end

local function submit_all(checker, targets)
  local requests = ffi.new("shaker_request[?]", #targets)
  for i, target in ipairs(targets) do
    requests[i - 1].addr = target -- read during the call only
    requests[i - 1].timeout_ms = 1000
    requests[i - 1].user_data = ffi.cast("void *", i)
  end
  must(shaker.shaker_submit(checker, requests, #targets, nil))
end

local function reap_all(checker, targets)
  local results = ffi.new("shaker_result[64]")
  local watched = ffi.new("struct pollfd[1]", { { shaker.shaker_checker_fd(checker), POLLIN } })
  local left = #targets
  while left > 0 do
    ffi.C.poll(watched, 1, -1) -- a real program waits for its other descriptors here too
    local count = tonumber(shaker.shaker_reap(checker, results, 64, 0))
    for i = 0, count - 1 do
      local target = targets[tonumber(ffi.cast("intptr_t", results[i].user_data))]
      print(target .. ": " .. verdict(results[i]) .. " (" .. text(results[i]) .. ")")
    end
    left = left - count
  end
end

assert(arg[1], "usage: luajit check.lua host:port...")
local checker = new_checker()
local result = ffi.new("shaker_result")
shaker.shaker_check_addr(checker, arg[1], 1000, result)
print("blocking: " .. text(result))
submit_all(checker, arg)
reap_all(checker, arg)
shaker.shaker_checker_free(ffi.gc(checker, nil))
