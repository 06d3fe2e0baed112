# The example leaves nothing behind, its structs, and what its descriptor says.
#
#     ruby test.rb LIVE DEAD SILENT
#
# Prints the layout of the structs last, to be compared with C's.

def expect(condition, otherwise)
  abort otherwise unless condition
end

def threads_and_descriptors
  [Dir.children("/proc/self/task").size, Dir.children("/proc/self/fd").size]
end

def mapped?
  File.read("/proc/self/maps").include?("libtcpshaker.so.0.1")
end

def the_descriptor_is_readable_exactly_while_results_wait(silent)
  Shaker.checker do |checker|
    descriptor = IO.for_fd(Shaker.shaker_checker_fd(checker), autoclose: false)
    array = "\0" * Shaker::Result.size
    readable = ->(seconds) { !IO.select([descriptor], nil, nil, seconds).nil? }
    expect !readable[0], "readable before anything was submitted"
    submit_all(checker, [silent])
    expect !readable[0], "readable before the result is there"
    expect readable[60], "not readable though the result must be there"
    expect Shaker.shaker_reap(checker, array, 1, 0) == 1, "readable, but nothing to reap"
    expect structs(Shaker::Result, array)[0].status > 0, "a silent target is up"
    expect !readable[0], "readable after all was reaped"
  end
end

# Fiddle lets go of Ruby's lock: while one thread waits for a verdict, others run.
def a_blocking_check_holds_up_no_other_thread(silent)
  Shaker.checker do |checker|
    over = false
    turns = 0
    other = Thread.new { (turns += 1; Thread.pass) until over }
    Thread.pass until turns > 0
    before = turns
    Shaker.shaker_check_addr(checker, silent, 1000, nil)
    during = turns - before
    over = true
    other.join
    expect during > 100, "the other thread had #{during} turns"
  end
end

expect !mapped?, "the library is there before it is loaded"
before = threads_and_descriptors
require "./check.rb"
expect mapped?, "the library is not there"
check(ARGV)
the_descriptor_is_readable_exactly_while_results_wait(ARGV[2])
# The kernel lists a thread for a moment longer than it runs.
deadline = Time.now + 10
sleep 0.01 until threads_and_descriptors == before || Time.now > deadline
expect threads_and_descriptors == before, "a thread or a descriptor is left"
a_blocking_check_holds_up_no_other_thread(ARGV[2])
Shaker::LIBRARY.close
expect !mapped?, "the library is still there after it was closed"

[["shaker_request", Shaker::Request], ["shaker_result", Shaker::Result]].each do |name, type|
  puts "#{name} #{type.size}"
  type.members.each { |field| puts "#{name}.#{field} #{type.offsetof(field)}" }
end
