-- The path without the queue: a batch on a pool where no waiter is queued and no lease is over. Most batches are
-- like that.
--
-- Expects: now (begin); floor (arguments); base (head); open, pool (state); acquire_without_queue (lending); at,
-- carry_out, finish (dispatch); operate, may_need_queue (operations).
-- Defines: nothing that later fragments use.
--
-- It returns from the script if it carries out the batch without queueing. Otherwise those fragments continue from
-- `at`. It comes before the queue's fragments, so that their functions are not created.

open(base, floor, may_need_queue())

if pool.exists and pool.waiting == 0 and pool.first_end > now and not pool.has_lost then
  local is_whole, problem = pcall(carry_out, operate, acquire_without_queue)
  if at > #ARGV or not is_whole then
    return finish(is_whole, problem)
  end
end
