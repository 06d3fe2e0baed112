-- The example leaves nothing behind, its structs, and what its descriptor says.
--
--     luajit test.lua LIVE DEAD SILENT
--
-- Prints the layout of the structs last, to be compared with C's.
local ffi = require("ffi")
ffi.cdef "int getpid(void);"

local LIBRARY = "libtcpshaker.so.0.1"

local function output(command)
  local pipe = io.popen(command)
  local text = pipe:read("*a")
  pipe:close()
  return text
end

local function threads_and_descriptors()
  local process = "/proc/" .. ffi.C.getpid()
  return output("ls " .. process .. "/task " .. process .. "/fd")
end

local function is_mapped()
  local maps = io.open("/proc/self/maps")
  local text = maps:read("*a")
  maps:close()
  return text:find(LIBRARY, 1, true) ~= nil
end

local function leaves_nothing_behind(use)
  local before = threads_and_descriptors()
  assert(not is_mapped(), "the library is there before it is loaded")
  use()
  collectgarbage()
  collectgarbage()
  -- The kernel lists a thread for a moment longer than it runs.
  local deadline = os.time() + 10
  while threads_and_descriptors() ~= before do assert(os.time() < deadline, "a thread or a descriptor is left") end
  assert(not is_mapped(), "the library is still there after the last reference to it is gone")
end

local function the_descriptor_is_readable_exactly_while_results_wait()
  local shaker = ffi.load(LIBRARY)
  local out = ffi.new("shaker_checker *[1]")
  assert(shaker.shaker_checker_new(nil, out) == 0 and is_mapped())
  local watched = ffi.new("struct pollfd[1]", { { shaker.shaker_checker_fd(out[0]), 1 } })
  local results = ffi.new("shaker_result[2]")
  assert(ffi.C.poll(watched, 1, 0) == 0, "readable before anything was submitted")
  local request = ffi.new("shaker_request[1]", { { addr = arg[3], timeout_ms = 2000 } })
  assert(shaker.shaker_submit(out[0], request, 1, nil) == 0)
  assert(ffi.C.poll(watched, 1, 0) == 0, "readable before the result is there")
  assert(ffi.C.poll(watched, 1, 60000) == 1, "not readable though the result must be there")
  assert(shaker.shaker_reap(out[0], results, 2, 0) == 1 and results[0].status > 0)
  assert(ffi.C.poll(watched, 1, 0) == 0, "readable after all was reaped")
  shaker.shaker_checker_free(out[0])
end

local function a_checker_that_is_forgotten_is_freed_before_its_library_is_unloaded()
  local shaker = ffi.load(LIBRARY)
  local out = ffi.new("shaker_checker *[1]")
  assert(shaker.shaker_checker_new(nil, out) == 0)
  ffi.gc(out[0], function(checker) shaker.shaker_checker_free(checker) end)
end

local function print_layout(type, fields)
  print(type .. " " .. ffi.sizeof(type))
  for field in fields:gmatch("%S+") do print(type .. "." .. field .. " " .. ffi.offsetof(type, field)) end
end

leaves_nothing_behind(function() dofile("check.lua") end)
leaves_nothing_behind(the_descriptor_is_readable_exactly_while_results_wait)

leaves_nothing_behind(a_checker_that_is_forgotten_is_freed_before_its_library_is_unloaded)

print_layout("shaker_request", "addr sockaddr sockaddr_len timeout_ms flags callback user_data mark reserved")
print_layout("shaker_result",
  "id user_data status os_error rtt_us syn_retransmits elapsed_us flags address reserved")
