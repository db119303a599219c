"""Python's own processes at the workloads: `WORKLOAD WAY NUMBERS..`; a line for each metric, its name and its value.

Sizes and meanings are those of the program that starts it.
"""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from multiprocessing import shared_memory

MESSAGE = bytes([7]) * 32


def settle(is_child):
    places = os.environ.get("PROCESSION_BENCH_CORES")
    if places:
        os.sched_setaffinity(0, map(int, places.split(":")[is_child].split(",")))


# Children that are forked, and those that import this file anew.
os.register_at_fork(after_in_child=lambda: settle(True))
settle(__name__ != "__main__")


def tell(metric, value):
    print(metric, value, flush=True)


def median(values):
    return quantile(values, 0.5)


def quantile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


def identity(message):
    return message


def square(x):
    return x * x


def burn(nanos):
    until = time.thread_time_ns() + nanos
    while time.thread_time_ns() < until:
        pass


def look(data):
    return len(data), data[0], data[-1]


def echo(pipe):
    while True:
        try:
            pipe.send_bytes(pipe.recv_bytes())
        except EOFError:
            return


def take(pipe, count):
    for _ in range(count):
        pipe.recv_bytes()
    pipe.send_bytes(b"1")


def start_echo(context, target=echo, *more):
    ours, theirs = context.Pipe()
    child = context.Process(target=target, args=(theirs, *more), daemon=True)
    child.start()
    theirs.close()
    return child, ours


def end(child):
    child.kill()
    child.join()


def w1(way, count):
    context = multiprocessing.get_context(way)
    if way == "forkserver":
        # Its server is started once and not measured.
        child, _ = start_echo(context)
        end(child)
    times = []
    for _ in range(count):
        began = time.perf_counter()
        child, pipe = start_echo(context)
        pipe.send_bytes(MESSAGE)
        pipe.recv_bytes()
        times.append(time.perf_counter() - began)
        end(child)
    tell("spawn_to_ready_ms", median(times) * 1e3)


def w2(way, count):
    if way == "pipe":
        child, pipe = start_echo(multiprocessing.get_context("fork"))

        def act():
            pipe.send_bytes(MESSAGE)
            pipe.recv_bytes()

        done = lambda: end(child)
    elif way == "pool-apply":
        pool = multiprocessing.get_context("fork").Pool(1)
        act, done = lambda: pool.apply(identity, (MESSAGE,)), pool.terminate
    elif way == "executor":
        executor = concurrent.futures.ProcessPoolExecutor(1)
        act, done = lambda: executor.submit(identity, MESSAGE).result(), executor.shutdown
    else:
        manager = multiprocessing.get_context("fork").Manager()
        shared = manager.dict(a=MESSAGE)
        act, done = lambda: shared.get("a"), manager.shutdown
    times = []
    for turn in range(count + min(count, 100)):
        began = time.perf_counter()
        act()
        if turn >= min(count, 100):
            times.append(time.perf_counter() - began)
    done()
    tell("rtt_p50_us", quantile(times, 0.5) * 1e6)
    tell("rtt_p99_us", quantile(times, 0.99) * 1e6)


def w3(way, count, window):
    context = multiprocessing.get_context("fork")
    child, pipe = start_echo(context)
    slots = threading.Semaphore(window)

    def ask():
        for _ in range(count):
            slots.acquire()
            pipe.send_bytes(MESSAGE)

    began = time.perf_counter()
    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(count):
        pipe.recv_bytes()
        slots.release()
    tell("request_reply_per_s", count / (time.perf_counter() - began))
    asking.join()
    end(child)
    child, pipe = start_echo(context, take, count)
    began = time.perf_counter()
    for _ in range(count):
        pipe.send_bytes(MESSAGE)
    pipe.recv_bytes()
    tell("one_way_per_s", count / (time.perf_counter() - began))
    end(child)


def w4(way, tasks, workers):
    metric = "tasks_per_s_one_a_frame" if way.endswith("one") else "tasks_per_s_automatic"
    if way.startswith("executor"):
        with concurrent.futures.ProcessPoolExecutor(workers) as executor:
            list(executor.map(identity, range(workers)))
            began = time.perf_counter()
            results = list(executor.map(square, range(tasks), chunksize=1 if way.endswith("one") else 100))
            took = time.perf_counter() - began
    else:
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            pool.map(identity, range(workers))
            began = time.perf_counter()
            if way == "imap-unordered-one":
                results = sorted(pool.imap_unordered(square, range(tasks)))
            else:
                results = pool.map(square, range(tasks), chunksize=1 if way.endswith("one") else None)
            took = time.perf_counter() - began
    assert results == [x * x for x in range(tasks)]
    tell(metric, tasks / took)


def w5(way, tasks, workers, nanos, reference_nanos):
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        pool.map(identity, range(workers))
        began = time.perf_counter_ns()
        pool.map(burn, [nanos] * tasks, chunksize=1)
        tell("efficiency", reference_nanos / (time.perf_counter_ns() - began))


def w6_answers(pipe, name):
    memory = shared_memory.SharedMemory(name)
    while True:
        try:
            length = int(pipe.recv_bytes())
        except EOFError:
            return
        pipe.send_bytes(repr(look(memory.buf[:length])).encode())


def w6(way, size, times):
    data = bytes([7]) * size
    took = []
    if way == "pool-pickle":
        with multiprocessing.get_context("fork").Pool(1) as pool:
            for _ in range(times + 1):
                began = time.perf_counter()
                assert pool.apply(look, (data,)) == (size, 7, 7)
                took.append(time.perf_counter() - began)
        tell("gib_per_s", size / median(took[1:]) / 2**30)
        return
    memory = shared_memory.SharedMemory(create=True, size=size)
    child, pipe = start_echo(multiprocessing.get_context("fork"), w6_answers, memory.name)

    def ask():
        pipe.send_bytes(str(size).encode())
        assert pipe.recv_bytes() == repr((size, 7, 7)).encode()

    for _ in range(times + 1):
        began = time.perf_counter()
        memory.buf[:size] = data
        ask()
        took.append(time.perf_counter() - began)
    tell("gib_per_s", size / median(took[1:]) / 2**30)
    took = []
    for _ in range(200):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    tell("handover_us", median(took) * 1e6)
    end(child)
    memory.close()
    memory.unlink()


def w7_client(lock, ready, go, times):
    ready.release()
    go.wait()
    for _ in range(times):
        lock.acquire()
        lock.release()


def w7(way, clients, times):
    context = multiprocessing.get_context("fork")
    manager = context.Manager() if way == "manager-lock" else None
    lock = manager.Lock() if manager else context.Lock()
    ready, go = context.Semaphore(0), context.Event()
    children = [context.Process(target=w7_client, args=(lock, ready, go, times), daemon=True) for _ in range(clients)]
    for child in children:
        child.start()
    for _ in children:
        ready.acquire()
    began = time.perf_counter()
    go.set()
    for child in children:
        child.join()
    tell("acquisitions_per_s", clients * times / (time.perf_counter() - began))


def w8_client(shared, ready, go, items):
    ready.release()
    go.wait()
    for _ in range(items):
        shared.append(MESSAGE)


def w8(way, clients, items):
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        shared = manager.list()
        ready, go = context.Semaphore(0), context.Event()
        arguments = (shared, ready, go, items)
        children = [context.Process(target=w8_client, args=arguments, daemon=True) for _ in range(clients)]
        for child in children:
            child.start()
        for _ in children:
            ready.acquire()
        began = time.perf_counter()
        go.set()
        for child in children:
            child.join()
        tell("appends_per_s_single", clients * items / (time.perf_counter() - began))
        assert len(shared) == clients * items


def memory_of(pid):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))


def time_of(pid):
    spent = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
            spent += int(stat.read().split()[0])
    return spent


def w9(way, count, millis):
    context = multiprocessing.get_context(way)
    children = [start_echo(context) for _ in range(count)]
    for _, pipe in children:
        pipe.send_bytes(MESSAGE)
        pipe.recv_bytes()
    tell("worker_pss_kib", sum(memory_of(child.pid) for child, _ in children) / count)
    pids = [os.getpid()] + [child.pid for child, _ in children]
    before, began = sum(map(time_of, pids)), time.perf_counter_ns()
    multiprocessing.connection.wait([child.sentinel for child, _ in children], millis / 1e3)
    lasted = time.perf_counter_ns() - began
    tell("supervise_100_cpu_percent", 100 * (sum(map(time_of, pids)) - before) / lasted)
    for child, _ in children:
        end(child)


def w10(way, count):
    times = []
    for _ in range(count):
        if way == "sentinel":
            child, pipe = start_echo(multiprocessing.get_context("fork"))
            pipe.send_bytes(MESSAGE)
            pipe.recv_bytes()
            began = time.perf_counter()
            os.kill(child.pid, signal.SIGKILL)
            multiprocessing.connection.wait([child.sentinel])
            times.append(time.perf_counter() - began)
            child.join()
            continue
        executor = concurrent.futures.ProcessPoolExecutor(1)
        pid = executor.submit(os.getpid).result()
        running = executor.submit(burn, 10**11)
        while not running.running():
            pass
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        assert running.exception() is not None
        times.append(time.perf_counter() - began)
        executor.shutdown()
    tell("kill_to_known_us", median(times) * 1e6)


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], *map(int, sys.argv[3:]))
