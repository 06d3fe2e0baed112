# Checks TCP ports with libtcpshaker from Ruby: the first one blocking, then all of them at once, waiting on the
# checker's descriptor.
#
#     ruby check.rb host:port...
require "fiddle/import"

module Shaker
  extend Fiddle::Importer
  LIBRARY = Fiddle.dlopen(ENV.fetch("TCPSHAKER_LIBRARY", "libtcpshaker.so.0.1"))
  dlload LIBRARY

  Request = struct [
    "const char *addr", "const void *sockaddr", "uint32_t sockaddr_len", "uint32_t timeout_ms", "uint32_t flags",
    "void *callback", "void *user_data", "uint32_t mark", "uint32_t reserved[3]"
  ]
  Result = struct [
    "uint64_t id", "void *user_data", "int32_t status", "int32_t os_error", "uint32_t rtt_us",
    "uint32_t syn_retransmits", "uint64_t elapsed_us", "uint32_t flags", "uint32_t address[7]", "uint64_t reserved"
  ]

  extern "const char *shaker_status_str(int32_t status)"
  extern "int32_t shaker_checker_new(const void *config, void *checker)"
  extern "int32_t shaker_checker_free(void *checker)"
  extern "int32_t shaker_check_addr(void *checker, const char *addr, uint32_t timeout_ms, void *result)"
  extern "int32_t shaker_submit(void *checker, const void *requests, size_t count, void *ids)"
  extern "size_t shaker_reap(void *checker, void *results, size_t capacity, uint32_t wait_ms)"
  extern "int shaker_checker_fd(const void *checker)"
  extern "size_t shaker_result_str(const void *result, char *buffer, size_t capacity)"

  def self.must(status)
    raise shaker_status_str(status).to_s unless status == 0
  end

  # A checker for the length of a block.
  def self.checker
    Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE) do |out|
      must(shaker_checker_new(nil, out))
      checker = out.ptr
      begin
        yield checker
      ensure
        shaker_checker_free(checker)
      end
    end
  end

  def self.text(result)
    buffer = "\0" * 256
    buffer[0, shaker_result_str(result, buffer, buffer.size)]
  end
end

# The sign rule: 0 is up, positive is down, negative says nothing about the target.
def verdict(status)
  status == 0 ? "up" : status > 0 ? "down" : "no verdict"
end

# The structs of an array, which is a string of zeros at first.
def structs(type, array)
  (array.bytesize / type.size).times.map { |i| type.new(Fiddle::Pointer[array] + i * type.size) }
end

def submit_all(checker, targets)
  array = "\0" * (targets.size * Shaker::Request.size)
  structs(Shaker::Request, array).zip(targets).each_with_index do |(request, target), i|
    request.addr, request.timeout_ms, request.user_data = target, 1000, i
  end
  Shaker.must(Shaker.shaker_submit(checker, array, targets.size, nil))
end

def reap_all(checker, targets)
  descriptor = IO.for_fd(Shaker.shaker_checker_fd(checker), autoclose: false)
  array = "\0" * (64 * Shaker::Result.size)
  results = structs(Shaker::Result, array)
  left = targets.size
  while left > 0
    IO.select([descriptor]) # a real program waits for its other descriptors here too
    count = Shaker.shaker_reap(checker, array, 64, 0)
    results.first(count).each do |result|
      puts "#{targets[result.user_data.to_i]}: #{verdict(result.status)} (#{Shaker.text(result)})"
    end
    left -= count
  end
end

def check(targets)
  Shaker.checker do |checker|
    result = Shaker::Result.malloc(Fiddle::RUBY_FREE)
    Shaker.shaker_check_addr(checker, targets[0], 1000, result)
    puts "blocking: #{Shaker.text(result)}"
    submit_all(checker, targets)
    reap_all(checker, targets)
  end
end

if $PROGRAM_NAME == __FILE__
  abort "usage: ruby check.rb host:port..." if ARGV.empty?
  check(ARGV)
  Shaker::LIBRARY.close # or never: a checker that was freed leaves nothing running
end
