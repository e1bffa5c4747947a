"""All that reaches into Dramatiq, and why each part is needed; no other module of the worker imports it.

- `slots`: Dramatiq's `Worker`, whose threads run tasks. Its queue and its consumers are replaced: what a
  thread runs comes from taskyard's engine, and how it ended goes back there.
- `work_queue`: in place of the worker's own queue, which wakes a thread for each job. That took a third of
  the CPU time of a worker.
- `message`: `MessageProxy`, the base of attempts, because that is what a thread runs.
- `actors`: a `Broker` with an `Actor` for each task, because a thread finds what it runs by an actor's name.
- `middleware`: what is called before and after a task in the thread that runs it; there is no other hook.
- `coroutines`: the thread of Dramatiq's event loop, in which `async` tasks run. Its own wrapper stops waiting
  for a coroutine that does not end.
- `interrupts`: `Interrupt`, which tasks and middleware written for Dramatiq catch to clean up.
"""
